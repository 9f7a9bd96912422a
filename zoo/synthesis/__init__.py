"""Synthetic data: phantoms and synthetic subjects with known deformations."""
