"""Run the CUDA tests, time the models and train compact weights on one GPU, within a time limit.

    tools/gpu_run.sh --out FOLDER --minutes 9

FOLDER gets tests.txt, timings.json and, of the training, state.pt, log.csv, curve.png and
model_compact.safetensors: six files of at most 16 MiB. Training starts from the weights in the
package, or goes on from .gpu/state.pt or .gpu/model_compact.safetensors, copied there from an
earlier call; its learning rate falls within the time that is left. Every part stops when its time
is up, and the call ends before the limit. A state that is larger is removed at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from benchmarks.kernels import without_compiled_loops
from compact.anatomy import People, read_people
from compact.checkpoints import read_network
from compact.recipes import RECIPES, Recipe
from compact.start import new_training
from compact.train import train
from compact.training import Training
from torch import Tensor, nn

from zoo.networks import GradICON, UniReg
from zoo.solvers.mcbo import MCBO
from zoo.synthesis.rendered_pairs import draw_deformed_person, draw_two_persons

ROOT = Path(__file__).resolve().parent.parent
STORE = ROOT / ".gpu"
TEST_SHARE, TIMING_SHARE = 0.2, 0.3
"""Largest shares of the time for the tests and for the timings."""
RESERVE_S = 25.0
"""Seconds at the end for the last validation and the files."""
MOST_BYTES = 16 * 2**20
"""Largest file that is kept."""
REPEATS = 3
PROBE_STEPS, PROBE_FROM = 12, 4
"""Steps from whose duration, the first few left out, the length of the training is chosen."""

CROP, RENDERED = (96, 96, 96), 8
"""Voxels of the pairs whose rendering is timed, and how many of them."""

Row = dict[str, object]
"""Figures by name."""


class PlainMCBO(MCBO):
    """The solver without its Triton kernel."""

    @torch.no_grad()
    def forward(self, image: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return what `MCBO` returns."""
        with without_compiled_loops():
            return super().forward(image, masks)


MODELS: dict[str, Callable[[], nn.Module]] = {
    "unigradicon, official size": lambda: GradICON(width=16),
    "unigradicon, official size, bfloat16": lambda: GradICON(width=16, precision="bfloat16"),
    "unigradicon, compact": lambda: GradICON(width=8, size=(128, 128, 128)),
    "multigradicon, compact": lambda: GradICON(width=8, size=(128, 128, 128), recolour=True),
    "unireg": lambda: UniReg(type="inter", region="brain"),
    "mcbo": lambda: MCBO(),
    "mcbo, plain torch": lambda: PlainMCBO(),
}
"""The models by name; weights are random, which does not change the time."""


@dataclass(frozen=True)
class Clock:
    """The time that is left: `end` is in seconds of `time.monotonic`."""

    end: float

    def left(self) -> float:
        """Return the seconds that are left."""
        return self.end - time.monotonic()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the three parts in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of the call")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--recipe", default="multigradicon-anatomy", choices=sorted(RECIPES))
    parser.add_argument("--anatomy", type=Path, default=STORE / "anatomy.npz")
    parser.add_argument("--sizes", default="128,175,256", help="voxels per axis, comma-separated")
    parser.add_argument("--batch", type=int, default=48, help="crops per step, if U-Nets see crops")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    clock = Clock(time.monotonic() + 60 * args.minutes)
    total = 60 * args.minutes
    print(f"torch {torch.__version__}, {device_name(args.device)}", flush=True)
    run_tests(args.out / "tests.txt", TEST_SHARE * total)
    sizes = [int(size) for size in args.sizes.split(",")]
    people = read_people(args.anatomy, args.device)
    rows = rendering_rates(people, args.device)
    rows += time_models(args.device, sizes, TIMING_SHARE * total)
    document = {"device": device_name(args.device), "rows": rows}
    (args.out / "timings.json").write_text(json.dumps(document, indent=1))
    recipe = RECIPES[args.recipe]
    stages = tuple(
        replace(stage, batch=args.batch) if stage.parts == 1 else stage for stage in recipe.stages
    )
    recipe = replace(recipe, stages=stages, kept_share=0.0)  # a long training is not averaged
    training = new_training(recipe, args.device, people)
    train_until(training, args.out, clock)
    if (args.out / "state.pt").stat().st_size > MOST_BYTES:
        (args.out / "state.pt").unlink()
    print(f"done, {clock.left():.0f} s before the limit", flush=True)


def device_name(device: str) -> str:
    """Return the name of a device."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def run_tests(report: Path, seconds: float) -> None:
    """Run the tests that need CUDA and write what pytest prints."""
    files = [
        str(p) for p in sorted(ROOT.glob("tests/**/test_*.py")) if "def test_cuda" in p.read_text()
    ]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_cuda"]
    with report.open("w") as file:
        try:
            subprocess.run(
                [*command, *files],
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            file.write(f"\nstopped after {seconds:.0f} s\n")
    print(report.read_text()[-400:], flush=True)


def rendering_rates(people: People, device: str) -> list[Row]:
    """Return how many pairs of 96^3 crops of each kind are rendered per second, in two contrasts.

    A pair has one moving and one fixed image in each contrast.
    """
    kinds: dict[str, Callable[[int], object]] = {}
    for name, persons in (("heads", people.heads), ("CT", people.cts)):
        if len(persons) > 1:
            one, two = persons[:2]
            kinds[f"{name}, one person"] = partial(
                draw_deformed_person, person=one, shape=CROP, contrasts=2
            )
            kinds[f"{name}, two persons"] = partial(
                draw_two_persons, fixed=one, moving=two, shape=CROP, contrasts=2
            )
    rows: list[Row] = []
    for name, draw in kinds.items():
        draw(0)
        synchronise(device)
        start = time.monotonic()
        for seed in range(RENDERED):
            draw(seed)
        synchronise(device)
        rows.append({"rendering": name, "pairs_per_s": RENDERED / (time.monotonic() - start)})
        print(rows[-1], flush=True)
    return rows


def time_models(device: str, sizes: Sequence[int], seconds: float) -> list[Row]:
    """Return the time and the peak memory of one prediction of each model at each size."""
    clock = Clock(time.monotonic() + seconds)
    rows: list[Row] = []
    for size in sizes:
        for name, make in MODELS.items():
            row: Row = {"model": name, "size": size}
            if clock.left() < 0:
                row["skipped"] = "the time for this part was up"
            else:
                row |= measure(make, size, device)
            rows.append(row)
            print(row, flush=True)
    return rows


def measure(make: Callable[[], nn.Module], size: int, device: str) -> Row:
    """Return the shortest and the mean seconds of a prediction, and the peak memory in MiB."""
    try:
        network = make().to(device).eval()
        n = size - size % 8 if isinstance(network, UniReg) else size
        image = smooth_images(n, device)
        with torch.no_grad():
            network(image)  # the first call chooses algorithms and allocates memory
            if device.startswith("cuda"):
                torch.cuda.reset_peak_memory_stats()
            seconds = [timed(network, image, device) for _ in range(REPEATS)]
    except torch.OutOfMemoryError:
        return {"failed": "out of memory"}
    row: Row = {"best_s": min(seconds), "mean_s": sum(seconds) / len(seconds)}
    if device.startswith("cuda"):
        row["peak_mib"] = round(torch.cuda.max_memory_allocated() / 2**20)
        del network, image
        torch.cuda.empty_cache()
    return row


def smooth_images(size: int, device: str) -> Tensor:
    """Return a moving and a fixed image [1, 2, size, size, size] in [0, 1]."""
    coarse = torch.rand(1, 2, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    shape = (size, size, size)
    image = nn.functional.interpolate(coarse, size=shape, mode="trilinear", align_corners=True)
    return image.to(device)


def timed(network: nn.Module, image: Tensor, device: str) -> float:
    """Return the seconds of one prediction."""
    synchronise(device)
    start = time.monotonic()
    network(image)
    synchronise(device)
    return time.monotonic() - start


def synchronise(device: str) -> None:
    """Wait until the device has finished."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def train_until(training: Training, out: Path, clock: Clock) -> None:
    """Train for the time that is left, less a reserve; the learning rate falls until then."""
    packaged = ROOT / f"bundles/{training.recipe.model}/models/model_compact.safetensors"
    earlier = [STORE / "state.pt", STORE / packaged.name]
    start = next((path for path in earlier if path.exists()), packaged)
    training.start_from(read_network(start, training.device))
    print(f"training {training.recipe.model} from {start.name}", flush=True)
    started = time.monotonic()
    for _ in training.run():
        if training.step == PROBE_FROM:
            started = time.monotonic()
        if training.step == PROBE_STEPS or clock.left() < RESERVE_S:
            break
    rate = max(training.step - PROBE_FROM, 1) / (time.monotonic() - started)
    steps = training.step + int(rate * max(clock.left() - RESERVE_S, 0))
    training.recipe = shortened(training.recipe, steps)
    print(f"{rate:.1f} steps/s, {steps} steps", flush=True)
    train(training, out, until=lambda: clock.left() < RESERVE_S)


def shortened(recipe: Recipe, steps: int) -> Recipe:
    """Return a recipe with this many steps, shared among its stages as before."""
    total = sum(stage.steps for stage in recipe.stages)
    stages = (replace(s, steps=max(1, round(steps * s.steps / total))) for s in recipe.stages)
    return replace(recipe, stages=tuple(stages))


if __name__ == "__main__":
    main()
