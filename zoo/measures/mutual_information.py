"""Normalised mutual information of two sets of intensities, from a plain joint histogram.

It is not differentiable; the affine alignment optimises a smooth estimate of it, which is in
`zoo.solvers.affine.comparison`.
"""

import torch
from torch import Tensor


def normalised_mutual_information(first: Tensor, second: Tensor, bins: int = 32) -> float:
    """Return (H(first) + H(second)) / H(first, second) of two vectors (n,) of values in [0, 1].

    The value is 1 for independent intensities and 2 for intensities that determine each other.
    """
    levels = [(values * bins).long().clamp(0, bins - 1) for values in (first, second)]
    joint = torch.bincount(levels[0] * bins + levels[1], minlength=bins * bins).double()
    joint = (joint / joint.sum()).view(bins, bins)
    joint_entropy = _entropy(joint)
    if joint_entropy <= 0:
        return 1.0
    return (_entropy(joint.sum(0)) + _entropy(joint.sum(1))) / joint_entropy


def _entropy(probabilities: Tensor) -> float:
    return float(-(probabilities * probabilities.clamp_min(1e-300).log()).sum())
