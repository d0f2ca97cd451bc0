"""First figures, honestly labelled: what one core of this machine does, not what a nation needs.

`make bench` runs the sections one after the other with their progress on standard error, prints a table, and writes
`bench/out/bench.json`. Benchmarks are commands, never tests: the machine is noisy.
"""
