"""What the benchmarks share: child processes, measurements, pairs, methods, records and tables."""
