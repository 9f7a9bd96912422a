"""Weights and bundles: the catalogue, pulling, verifying, converting, pushing, safety checks."""
