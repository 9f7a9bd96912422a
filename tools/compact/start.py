"""Start of a training."""

from __future__ import annotations

from compact.anatomy import People
from compact.gradicon import GradICONTraining
from compact.recipes import Recipe
from compact.training import Training
from compact.unireg import UniRegTraining


def new_training(recipe: Recipe, device: str = "cpu", people: People | None = None) -> Training:
    """Return the training of a recipe before its first step.

    `people`, on the device, are needed if the mixture of the recipe renders any.
    """
    kind = UniRegTraining if recipe.model == "unireg" else GradICONTraining
    return kind(recipe, device, people)
