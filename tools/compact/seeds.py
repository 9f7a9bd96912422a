"""Seeds of the synthetic subjects, which are never shared between training and validation."""

from __future__ import annotations

import torch

from compact.recipes import Recipe

SEEDS_PER_RECIPE = 10_000_000
FIRST_VALIDATION_SEED = 10**9


def training_seed(recipe: Recipe, number: int) -> int:
    """Return the seed of a training subject; subjects are numbered from 0."""
    return recipe.seed * SEEDS_PER_RECIPE + number


def independent_generator(seed: int) -> torch.Generator:
    """Return random numbers that are independent of those from which the subject is drawn."""
    return torch.Generator().manual_seed(seed ^ 0x5EED5EED)
