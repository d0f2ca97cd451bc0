"""Erasing under the worst of luck: several processes seal, decide, open and erase over one key store, in virtual time.

Real are the keyring, the eraser, the memory key store and the owner's judgement of what was sealed too early; processes
crash and sleep, clocks are wrong, the key store is slow and away, and old copies of it are put back. Not here: journals
and owners, whose promises have lanes of their own; a mark is durable here once it is made.
"""
