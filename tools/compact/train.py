"""Train compact weights from synthetic subjects.

    PYTHONPATH=tools python -m compact.train unigradicon --out runs/unigradicon --minutes 60

A recipe whose subjects are rendered from real anatomy needs --anatomy, the file that
compact.anatomy packs.

Training stops when the time is up, at SIGINT or SIGTERM, or when the recipe is complete. Run the
same command again to resume; the result is the same as without the stop. OUT holds state.pt (to
resume from, not for publication), log.csv, curve.png and model_compact.safetensors (the weights so
far).
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from compact.anatomy import read_people
from compact.checkpoints import export, read_network, read_state, save_state
from compact.log import append_row, draw_curve
from compact.recipes import RECIPES, SHAPES
from compact.start import new_training
from compact.training import Training

SAVE_INTERVAL_S = 180.0


def main() -> None:
    """Train for the given time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--minutes", type=float, default=60.0, help="time limit of this run")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--start",
        type=Path,
        help="state.pt of the training that the recipe continues, or its weights (safetensors)",
    )
    parser.add_argument(
        "--kept",
        type=Path,
        nargs="+",
        help="weights whose mean has a share in the published weights; default: those of --start",
    )
    parser.add_argument("--anatomy", type=Path, help="packed anatomy (npz)")
    args = parser.parse_args()
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    recipe = RECIPES[args.recipe]
    if recipe.continues and not args.start:
        parser.error(
            f"{args.recipe} continues the training of {recipe.continues}: add --start with the"
            " state.pt of that training or its weights"
        )
    if recipe.mixture != SHAPES and not args.anatomy:
        parser.error(f"{args.recipe} renders real anatomy: add --anatomy with the packed file")
    people = read_people(args.anatomy, args.device) if args.anatomy else None
    training = new_training(recipe, args.device, people)
    if (out / "state.pt").exists():
        training.load(read_state(out / "state.pt", args.device))
    elif args.start:
        kept = mean_of([read_network(path, args.device) for path in args.kept or [args.start]])
        training.start_from(read_network(args.start, args.device), kept)
    end = time.monotonic() + 60 * args.minutes
    train(training, out, until=lambda: time.monotonic() > end)


def mean_of(networks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of networks; integers, such as counts, are those of the first."""
    return {
        name: torch.stack([network[name].float() for network in networks]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in networks[0].items()
    }


def train(training: Training, out: Path, *, until: Callable[[], bool]) -> None:
    """Train until `until` returns true, a signal arrives or the recipe is complete.

    State, weights and log are saved to the folder `out` at intervals and at the end.
    """
    stop = False

    def request_stop(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGINT, request_stop)
    signal.signal(signal.SIGTERM, request_stop)
    saved = time.monotonic()
    recent: list[dict[str, float]] = []
    for losses in training.run():
        recent.append(losses)
        if stop or until() or time.monotonic() - saved > SAVE_INTERVAL_S:
            save(training, recent, out)
            recent, saved = [], time.monotonic()
            if stop or until():
                return
    save(training, recent, out)  # even without a new step, to record that the recipe is complete
    print("The recipe is complete.")


def save(training: Training, losses: list[dict[str, float]], out: Path) -> None:
    """Write the log, the state, the weights and the curve."""
    if losses:
        append_row(training, losses, out / "log.csv")
    save_state(training, out / "state.pt")
    export(training, out / "model_compact.safetensors")
    draw_curve(out / "log.csv", out / "curve.png")


if __name__ == "__main__":
    main()
