"""How much of the error trainings of compact weights leave on pairs that none was trained on.

    python tools/benchmark_compact.py RECIPE=FOLDER [RECIPE=FOLDER ...]

FOLDER is what `tools/train_compact.py RECIPE --out FOLDER` wrote. Prints the mean error of the
displacement in the body as a share of that of no registration: of GradICON networks the two coarse
U-Nets on pairs of one contrast and of two, of UniReg the trained levels on each of the tasks.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from compact.recipes import RECIPES
from compact.training import GradICONTraining, Training, new_training
from torch import Tensor

from zoo.synthesis.subjects import draw_pair
from zoo.training.objectives import GradICONObjective

FIRST = 2 * 10**9
SUBJECTS = 16
SIZE = 64


def main() -> None:
    """Measure the trainings that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RECIPE=FOLDER")
    for run in parser.parse_args().runs:
        recipe, _, folder = run.partition("=")
        training = new_training(RECIPES[recipe])
        training.load(torch.load(Path(folder) / "state.pt", weights_only=True))
        left = contrasts(training) if isinstance(training, GradICONTraining) else tasks(training)
        print(recipe, *(f"{name} {error:.3f}" for name, error in left.items()), flush=True)


def contrasts(training: GradICONTraining) -> dict[str, float]:
    """Return the error left on pairs of one contrast and of two."""
    training.network.load_state_dict(training.weights())
    objective = GradICONObjective(training.network.eval(), steps=2)
    pairs = [draw_pair(FIRST + k, (SIZE,) * 3, contrasts=3) for k in range(SUBJECTS)]
    found = {}
    for name, (moving, fixed) in {"one contrast": (1, 1), "two": (0, 1)}.items():
        after = before = 0.0
        for pair in pairs:
            images = pair.moving[moving][None, None], pair.fixed[fixed][None, None]
            with torch.no_grad():
                displacement = objective.displacement(*images)[0]
            inside = pair.fixed_labels > 0
            after += _length(displacement - pair.truth, inside)
            before += _length(pair.truth, inside)
        found[name] = after / before
    return found


def tasks(training: Training) -> dict[str, float]:
    """Return the error left on each task of the last stage."""
    recipe = training.recipe
    found = {}
    for task in recipe.stages[-1].tasks:
        alone = new_training(replace(recipe, stages=(replace(recipe.stages[-1], tasks=(task,)),)))
        alone.network.load_state_dict(training.network.state_dict())
        found[task] = alone.validate()["error"]
    return found


def _length(displacement: Tensor, inside: Tensor) -> float:
    return float(displacement.norm(dim=0)[inside].mean())


if __name__ == "__main__":
    main()
