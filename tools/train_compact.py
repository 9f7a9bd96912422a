"""Train the compact weights of a GradICON network from synthetic subjects, and nothing else.

    python tools/train_compact.py unigradicon --out runs/unigradicon --minutes 60

Stops when the time is up, when it is told to (SIGINT, SIGTERM) or when the recipe is through; run
again, it goes on from where it was, with the same random state. The folder holds state.pt (for
going on, never shipped), log.csv, curve.png and model_compact.safetensors, the weights so far.

Batch norm is a fixed scale here: its statistics are taken once, when a U-Net starts to train, and
then only the scale and the shift learn. So the network that is trained is the one that is used; a
batch of one would otherwise train on statistics that inference never sees.
"""

from __future__ import annotations

import argparse
import csv
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from zoo.geometry.sampling import identity_index, sample
from zoo.io.atomic import atomic_path
from zoo.losses import LNCC, SquaredLNCC, folded_share
from zoo.networks import GradICON
from zoo.networks.unet import UNet
from zoo.workflow.objectives import GradICONObjective
from zoo.workflow.synthetic import SyntheticPair, draw_pair

WIDTH = 4
FIRST_OF_VALIDATION = 10**9
CALIBRATION, VALIDATION = 12, 10
WARM_UP = 50
SAVE_EVERY_S = 180.0


@dataclass(frozen=True)
class Stage:
    """So many optimiser steps of the first `unets` U-Nets, on cubes of `size` voxels."""

    steps: int
    unets: int
    size: int
    sigma: int
    rate: float
    truth: float


@dataclass(frozen=True)
class Recipe:
    """How one model is trained; `contrasts` a subject, of which each role draws its own."""

    seed: int
    squared: bool
    contrasts: int
    randomised: bool
    regularity: float
    stages: tuple[Stage, ...]


def stages(size: int, steps: tuple[int, int, int]) -> tuple[Stage, ...]:
    """Return the curriculum: coarse U-Nets on half the size, then three U-Nets, then all four."""
    return (
        Stage(steps[0], 2, size // 2, 2, 1e-3, 0.0),
        Stage(steps[1], 3, size, 3, 5e-4, 0.0),
        Stage(steps[2], 4, size, 3, 3e-4, 0.0),
    )


RECIPES = {
    "unigradicon": Recipe(1, False, 1, False, 1.5, stages(80, (5000, 1200, 800))),
    "multigradicon": Recipe(2, True, 3, True, 1.5, stages(80, (5000, 1200, 800))),
    "multigradicon-plain": Recipe(2, True, 3, False, 1.5, stages(80, (5000, 1200, 800))),
}
"""By name; "multigradicon-plain" is the ablation: the loss sees what the network sees."""


class Training:
    """A network on its way through a recipe, on one device."""

    def __init__(self, recipe: Recipe, device: str, start: dict[str, Tensor] | None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.network = GradICON(width=WIDTH).to(device).eval()
        if start is not None:
            self.network.load_state_dict(start)
        self.stage = 0
        self.step = 0
        self.drawn = 0
        self.seconds = 0.0
        self.random = torch.Generator().manual_seed(recipe.seed)
        self.optimiser: torch.optim.Optimizer | None = None

    def run(self) -> Iterator[dict[str, float]]:
        """Take the steps that remain, yielding what each cost."""
        while self.stage < len(self.recipe.stages):
            stage = self.recipe.stages[self.stage]
            objective = self._objective(stage)
            if self.optimiser is None:
                self._enter(stage)
            assert self.optimiser is not None
            while self.step < stage.steps:
                started = time.monotonic()
                self._set_rate(stage)
                losses = self._take(objective, stage)
                self.step += 1
                self.seconds += time.monotonic() - started
                yield losses
            self.stage, self.step, self.optimiser = self.stage + 1, 0, None

    def validate(self) -> dict[str, float]:
        """Return the error of pairs never trained on, as a share of that of no registration."""
        stage = self.recipe.stages[min(self.stage, len(self.recipe.stages) - 1)]
        objective = self._objective(stage)
        before = after = unlike = folding = 0.0
        for k in range(VALIDATION):
            pair = self._draw(FIRST_OF_VALIDATION + k, stage.size)
            fixed, moving = (x[:1].to(self.device)[None] for x in (pair.fixed, pair.moving))
            with torch.no_grad():
                found = objective.displacement(moving, fixed)
                inside = pair.fixed_labels > 0
                truth = pair.truth.to(found)
                after += float((found[0] - truth).norm(dim=0)[inside].mean())
                before += float(truth.norm(dim=0)[inside].mean())
                unlike += float(objective.similarity(warp_by(moving, found), fixed)) / VALIDATION
                folding += folded_share(found) / VALIDATION
        return {"error": after / before, "similarity": unlike, "folding": folding}

    def state(self) -> dict[str, object]:
        """Return all that going on needs."""
        return {
            "network": self.network.state_dict(),
            "optimiser": None if self.optimiser is None else self.optimiser.state_dict(),
            "stage": self.stage,
            "step": self.step,
            "drawn": self.drawn,
            "seconds": self.seconds,
            "random": self.random.get_state(),
        }

    def load(self, state: dict[str, object]) -> None:
        """Go back to what `state` returned."""
        self.network.load_state_dict(state["network"])  # type: ignore[arg-type]
        self.stage, self.step = int(state["stage"]), int(state["step"])  # type: ignore[call-overload]
        self.drawn, self.seconds = int(state["drawn"]), float(state["seconds"])  # type: ignore[call-overload, arg-type]
        self.random.set_state(state["random"])  # type: ignore[arg-type]
        if state["optimiser"] is not None:
            self.optimiser = self._new_optimiser(self.recipe.stages[self.stage])
            self.optimiser.load_state_dict(state["optimiser"])  # type: ignore[arg-type]

    def _objective(self, stage: Stage) -> GradICONObjective:
        measure = (SquaredLNCC if self.recipe.squared else LNCC)(stage.sigma)
        return GradICONObjective(
            self.network,
            measure,
            self.recipe.regularity,
            steps=stage.unets,
            truth_weight=stage.truth,
        ).to(self.device)

    def _enter(self, stage: Stage) -> None:
        """Settle the scales of the U-Nets that start in this stage, and make their optimiser."""
        fresh = [unet for unet in self._unets(stage) if not unet.lastConv.weight.any()]
        norms = [m for unet in fresh for m in unet.modules() if isinstance(m, nn.BatchNorm3d)]
        for unet in fresh:
            unet.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
        objective = self._objective(stage)
        with torch.no_grad():
            for _ in range(CALIBRATION):
                pair = self._next(stage.size)
                objective.displacement(pair["moving"], pair["fixed"])
        self.network.eval()
        self.optimiser = self._new_optimiser(stage)

    def _unets(self, stage: Stage) -> list[UNet]:
        everything = [m for m in self.network.modules() if isinstance(m, UNet)]
        return everything[: stage.unets]  # in the order in which they act

    def _new_optimiser(self, stage: Stage) -> torch.optim.Optimizer:
        weights = [w for unet in self._unets(stage) for w in unet.parameters()]
        return torch.optim.Adam(weights, lr=stage.rate)

    def _set_rate(self, stage: Stage) -> None:
        """Warm up, then fall in a straight line to a tenth."""
        assert self.optimiser is not None
        share = min(1.0, (self.step + 1) / WARM_UP) * (1 - 0.9 * self.step / stage.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = stage.rate * share

    def _take(self, objective: GradICONObjective, stage: Stage) -> dict[str, float]:
        assert self.optimiser is not None
        self.optimiser.zero_grad()
        losses = objective(**self._next(stage.size), generator=self.random)
        if not torch.isfinite(losses["loss"]):
            raise SystemExit(f"the loss is {float(losses['loss'])} at subject {self.drawn - 1}")
        losses["loss"].backward()
        weights = [w for group in self.optimiser.param_groups for w in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        self.optimiser.step()
        return {name: float(value.detach()) for name, value in losses.items()}

    def _next(self, size: int) -> dict[str, Tensor]:
        """Return the next subject's images [1, 1, X, Y, Z], each role in its own contrast."""
        pair = self._draw(self.recipe.seed * 10_000_000 + self.drawn, size)
        self.drawn += 1
        roles = torch.randint(self.recipe.contrasts, (4,), generator=self.random).tolist()
        images = {"fixed": pair.fixed[roles[0]], "moving": pair.moving[roles[1]]}
        if self.recipe.randomised:
            images |= {"fixed_loss": pair.fixed[roles[2]], "moving_loss": pair.moving[roles[3]]}
        return {"truth": pair.truth[None]} | {k: image[None, None] for k, image in images.items()}

    def _draw(self, seed: int, size: int) -> SyntheticPair:
        return draw_pair(seed, (size,) * 3, contrasts=self.recipe.contrasts, device=self.device)


def warp_by(image: Tensor, displacement: Tensor) -> Tensor:
    """Return `image` [B, 1, X, Y, Z] read at i + displacement(i), voxels."""
    index = identity_index(image.shape[2:], device=image.device) + displacement
    return sample(image, index, outside="zeros")


def export(training: Training, model: str, path: Path) -> None:
    """Write the weights so far in half precision, with the recipe beside them."""
    half = {
        name: value.half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in training.network.state_dict().items()
    }
    metadata = {
        "model": model.removesuffix("-plain"),
        "variant": "compact",
        "width": str(WIDTH),
        "size": json.dumps([training.recipe.stages[-1].size] * 3),
        "licence": "Apache-2.0",
        "data": "synthetic subjects only (zoo.workflow.synthetic)",
        "recipe": json.dumps(asdict(training.recipe)),
        "subjects": str(training.drawn),
        "stage": f"{training.stage}, step {training.step}",
    }
    with atomic_path(path) as temporary:
        save_file(half, temporary, metadata)


def draw_curve(log: Path, png: Path) -> None:
    """Draw the loss and the validation error of a log."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with log.open() as file:
        rows = list(csv.DictReader(file))
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot([int(r["drawn"]) for r in rows], [float(r["loss"]) for r in rows], lw=0.8)
    left.set(xlabel="subjects", ylabel="loss, mean of the last steps")
    seen = [r for r in rows if r["validation_error"]]
    right.plot(
        [int(r["drawn"]) for r in seen], [float(r["validation_error"]) for r in seen], marker="."
    )
    right.set(xlabel="subjects", ylabel="error left, share of the start")
    figure.tight_layout()
    figure.savefig(png, dpi=90)
    plt.close(figure)


def main() -> None:
    """Train for the time given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path, help="the state.pt of another run to start from")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    training = Training(RECIPES[arguments.model], arguments.device, None)
    state = out / "state.pt"
    if state.exists():
        training.load(torch.load(state, map_location=arguments.device, weights_only=True))
    elif arguments.start:
        start = torch.load(arguments.start, map_location=arguments.device, weights_only=True)
        training.network.load_state_dict(start["network"])

    stop = False

    def ask_to_stop(*_: object) -> None:
        nonlocal stop
        stop = True

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    end = time.monotonic() + 60 * arguments.minutes
    saved = time.monotonic()
    recent: list[dict[str, float]] = []
    for losses in training.run():
        recent.append(losses)
        last = stop or time.monotonic() > end
        if last or time.monotonic() - saved > SAVE_EVERY_S:
            record(training, recent, out / "log.csv")
            save(training, arguments.model, out)
            recent, saved = [], time.monotonic()
        if last:
            return
    record(training, recent, out / "log.csv")
    save(training, arguments.model, out)
    print("the recipe is through")


def save(training: Training, model: str, out: Path) -> None:
    """Write state, weights and curve, each whole or not at all."""
    with atomic_path(out / "state.pt") as temporary:
        torch.save(training.state(), temporary)
    export(training, model, out / "model_compact.safetensors")
    draw_curve(out / "log.csv", out / "curve.png")


def record(training: Training, recent: list[dict[str, float]], log: Path) -> None:
    """Add a line to the log: the mean of what the last steps cost, and the validation."""
    names = ("loss", "similarity", "gradicon", "folding")
    means = {n: sum(r[n] for r in recent) / max(len(recent), 1) for n in names}
    checked = training.validate()
    row = {
        "drawn": training.drawn,
        "stage": training.stage,
        "step": training.step,
        "seconds": round(training.seconds),
        **{name: round(value, 6) for name, value in means.items()},
        **{f"validation_{name}": round(value, 6) for name, value in checked.items()},
    }
    new = not log.exists()
    with log.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(row, flush=True)


if __name__ == "__main__":
    main()
