"""What the benchmarks share: how figures are printed, and what a process has cost."""
