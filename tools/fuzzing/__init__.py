"""Fuzzing of the readers: valid samples, their mutations, and checks of what readers return."""
