"""Train compact weights from synthetic subjects, and nothing else.

    python tools/train_compact.py unigradicon --out runs/unigradicon --minutes 60

Stops when the time is up, when it is told to (SIGINT, SIGTERM) or when the recipe is through; run
again, it goes on from where it was, as if it had never stopped. The folder holds state.pt (for
going on, never shipped), log.csv, curve.png and model_compact.safetensors, the weights so far.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from compact.log import draw_curve, record
from compact.recipes import RECIPES
from compact.training import Training, new_training
from safetensors.torch import save_file

from zoo.io.atomic import atomic_path

SAVE_EVERY_S = 180.0


def main() -> None:
    """Train for the time given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path, help="the state.pt of another run to start from")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES[arguments.recipe]
    training = new_training(recipe, arguments.device)
    if recipe.after and not arguments.start:
        parser.error(
            f"{arguments.recipe} goes on from {recipe.after}: add --start STATE of its run"
        )
    if (out / "state.pt").exists():
        training.load(_read(out / "state.pt", arguments.device))
    elif arguments.start:
        training.start_from(_read(arguments.start, arguments.device)["network"])
    end = time.monotonic() + 60 * arguments.minutes
    train(training, out, until=lambda: time.monotonic() > end)


def train(training: Training, out: Path, *, until: Callable[[], bool]) -> None:
    """Train until told to stop, keeping the state, the weights and the log in the folder `out`."""
    stop = False

    def ask_to_stop(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    saved = time.monotonic()
    recent: list[dict[str, float]] = []
    for costs in training.run():
        recent.append(costs)
        if stop or until() or time.monotonic() - saved > SAVE_EVERY_S:
            save(training, recent, out)
            recent, saved = [], time.monotonic()
            if stop or until():
                return
    save(training, recent, out)  # also without a step: the weights say that they are finished
    print("the recipe is through")


def save(training: Training, recent: list[dict[str, float]], out: Path) -> None:
    """Write the log, the state, the weights and the curve, each whole or not at all."""
    if recent:
        record(training, recent, out / "log.csv")
    with atomic_path(out / "state.pt") as temporary:
        torch.save(training.state(), temporary)
    export(training, out / "model_compact.safetensors")
    draw_curve(out / "log.csv", out / "curve.png")


def export(training: Training, path: Path) -> None:
    """Write the weights so far in half precision, with the recipe beside them."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in training.weights().items()
    }
    metadata = {
        "model": training.recipe.model,
        "variant": "compact",
        "licence": "Apache-2.0",
        "data": "synthetic subjects only (zoo.synthesis.subjects)",
        "recipe": json.dumps(asdict(training.recipe)),
        "subjects": str(training.drawn),
        "stage": _place(training),
        **training.metadata(),
    }
    with atomic_path(path) as temporary:
        save_file(half, temporary, metadata)


def _place(training: Training) -> str:
    stages = training.recipe.stages
    if training.stage == len(stages):
        return f"all {len(stages)}"
    return f"{training.stage + 1} of {len(stages)}, step {training.step}"


def _read(path: Path, device: str) -> dict[str, object]:
    state: dict[str, object] = torch.load(path, map_location=device, weights_only=True)
    return state


if __name__ == "__main__":
    main()
