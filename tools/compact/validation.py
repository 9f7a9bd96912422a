"""Validation of a training on pairs that it is never trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from compact.seeds import FIRST_VALIDATION_SEED
from compact.training import Training
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import LNCC, folded_share

VALIDATION_PAIRS = 12


@torch.no_grad()
def validate(training: Training) -> dict[str, float]:
    """Return the mean figures of the validation pairs.

    "error" is the mean error of the displacement in the body, as a share of the error without
    registration; "error_across" is that of a moving image in another contrast than the fixed one,
    if there are several; "similarity" is one minus the mean local correlation, so that lower is
    better; "folding" is the share of folded voxels.
    """
    stages = training.recipe.stages
    stage = stages[min(training.stage, len(stages) - 1)]
    across = training.recipe.contrasts > 1
    before = after = after_across = dissimilarity = folding = 0.0
    for k in range(VALIDATION_PAIRS):
        pair = training.draw(FIRST_VALIDATION_SEED + k, stage)
        displacement = training.predict(pair, stage)
        body = pair.fixed_labels > 0
        after += _mean_length(displacement[0] - pair.truth, body)
        if across:
            other = training.predict(pair, stage, 1)
            after_across += _mean_length(other[0] - pair.truth, body)
        before += _mean_length(pair.truth, body)
        index = identity_index(displacement.shape[2:], device=displacement.device)
        warped = sample(pair.moving[None, :1], index + displacement)
        dissimilarity += float(LNCC(2)(warped, pair.fixed[None, :1])) / VALIDATION_PAIRS
        folding += folded_share(displacement) / VALIDATION_PAIRS
    figures = {"error": after / before, "similarity": dissimilarity, "folding": folding}
    return {**figures, "error_across": after_across / before} if across else figures


def _mean_length(field: Tensor, body: Tensor) -> float:
    """Return the mean length of a field [3, X, Y, Z] in the body; 0 if the grid misses the body."""
    return float(field.norm(dim=0)[body].sum() / body.sum().clamp_min(1))
