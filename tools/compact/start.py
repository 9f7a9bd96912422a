"""Start of a training."""

from __future__ import annotations

from compact.gradicon import GradICONTraining
from compact.recipes import Recipe
from compact.training import Training
from compact.unireg import UniRegTraining


def new_training(recipe: Recipe, device: str = "cpu") -> Training:
    """Return the training of a recipe before its first step."""
    kind = UniRegTraining if recipe.model == "unireg" else GradICONTraining
    return kind(recipe, device)
