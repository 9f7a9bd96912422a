"""The pieces of tools/benchmark.py: pairs, methods, the measured run, figures, the table."""
