"""What the benchmarks make of what they have seen."""
