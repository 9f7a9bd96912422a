"""How much of the error do compact weights leave on pairs that they were not trained on?

    PYTHONPATH=tools python -m benchmarks.compact_weights RECIPE=FOLDER [RECIPE=FOLDER ...]

FOLDER is the output of `python -m compact.train RECIPE --out FOLDER`. The table shows the mean
error of the displacement in the body, as a share of the error without registration. For GradICON
networks, the two coarse U-Nets are measured on pairs of one contrast and of two; for UniReg, the
trained levels are measured on each task.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from compact.gradicon import GradICONTraining
from compact.recipes import RECIPES
from compact.start import new_training
from compact.training import Training
from compact.validation import validate
from torch import Tensor

from zoo.synthesis.subjects import draw_pair
from zoo.training.objectives import GradICONObjective

FIRST_SEED = 2 * 10**9
"""Neither training nor validation draws subjects with seeds from here on."""
SUBJECTS = 16
SIZE = 64
"""Voxels along each axis."""


def main() -> None:
    """Print one line per training."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RECIPE=FOLDER", help="recipe and its output")
    for run in parser.parse_args().runs:
        recipe, _, folder = run.partition("=")
        training = new_training(RECIPES[recipe])
        training.load(torch.load(Path(folder) / "state.pt", weights_only=True))
        if isinstance(training, GradICONTraining):
            errors = errors_by_contrast(training)
        else:
            errors = errors_by_task(training)
        print(recipe, *(f"{name} {error:.3f}" for name, error in errors.items()), flush=True)


def errors_by_contrast(training: GradICONTraining) -> dict[str, float]:
    """Return the remaining share of the error on pairs of one contrast and of two."""
    training.network.load_state_dict(training.weights())
    objective = GradICONObjective(training.network.eval(), steps=2)
    pairs = [draw_pair(FIRST_SEED + k, (SIZE,) * 3, contrasts=3) for k in range(SUBJECTS)]
    errors = {}
    for name, (moving, fixed) in {"one contrast": (1, 1), "two": (0, 1)}.items():
        after = before = 0.0
        for pair in pairs:
            images = pair.moving[moving][None, None], pair.fixed[fixed][None, None]
            with torch.no_grad():
                displacement = objective.displacement(*images)[0]
            inside = pair.fixed_labels > 0
            after += _length(displacement - pair.truth, inside)
            before += _length(pair.truth, inside)
        errors[name] = after / before
    return errors


def errors_by_task(training: Training) -> dict[str, float]:
    """Return the remaining share of the error on each task of the last stage."""
    recipe = training.recipe
    errors = {}
    for task in recipe.stages[-1].tasks:
        single = new_training(replace(recipe, stages=(replace(recipe.stages[-1], tasks=(task,)),)))
        single.network.load_state_dict(training.network.state_dict())
        errors[task] = validate(single)["error"]
    return errors


def _length(displacement: Tensor, inside: Tensor) -> float:
    return float(displacement.norm(dim=0)[inside].mean())


if __name__ == "__main__":
    main()
