"""Comparison of the features of two images, with kernels for the CPU and for CUDA."""

from zoo.solvers.features.comparison import compare_features, compare_features_with_torch

__all__ = ["compare_features", "compare_features_with_torch"]
