"""The owner's state machine and the fold rule, driven by hand: no event loop, no clock, no I/O."""
