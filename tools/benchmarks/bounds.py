"""What bounds the inner loops of MCBO and of its refinement on a CPU: memory or arithmetic?

    PYTHONPATH=tools python -m benchmarks.bounds --size 160

One thread. For each loop the table has the bytes per voxel that its passes read and write, if each
reads a volume once, the shortest time of the repeats, and the bytes per second that follow. The
last row is a copy of a large array, which is bounded by the memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.measurement import Timer
from benchmarks.harness.tables import heading, row
from benchmarks.kernels import CHANNELS, comparison
from zoo.solvers.fluid.steps import CompiledSteps, LevelImages

FLOAT = 4  # bytes
COMPARISON = (2 * CHANNELS + 3 + 3) * FLOAT
"""Features of both images, positions and gradient."""
UPDATE = ((2 + 3 + 2) + (4 + 6) + (6 + 3) + (4 + 3 + 4) + (4 + 4) + (4 + 3)) * FLOAT
"""Warping, sums, coefficients, force, its smoothing, and the division, each with what it writes."""
COMPOSITION = 3 * 3 * FLOAT
COPY = 2 * FLOAT


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=160, help="voxels along each axis")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    steps, field = fluid_steps(args.size)
    array = torch.rand(args.size**3)
    loops: dict[str, tuple[int, Callable[[], object]]] = {
        "comparison of 12 features": (COMPARISON, comparison(args.size)),
        "step of the refinement": (UPDATE, partial(steps.update, field, 1.3, 0.5)),
        "composition": (COMPOSITION, partial(steps.compose, field, field)),
        "copy": (COPY, partial(torch.empty_like(array).copy_, array)),
    }
    print(heading(["loop"], ["bytes per voxel", "ns per voxel", "GB/s"]))
    for name, (count, work) in loops.items():
        seconds = shortest(work, args.repeats)
        per_voxel = 1e9 * seconds / args.size**3
        print(row([name, str(count), f"{per_voxel:.1f}", f"{count / per_voxel:.1f}"]), flush=True)


def fluid_steps(size: int) -> tuple[CompiledSteps, Tensor]:
    """Return the compiled steps between two smooth random images, and a smooth displacement."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, size, size)

    def smooth(channels: int) -> Tensor:
        coarse = torch.rand(1, channels, *(max(n // 8, 2) for n in shape), generator=generator)
        return F.interpolate(coarse, size=shape, mode="trilinear")

    ones = torch.ones(1, 1, *shape)
    return CompiledSteps(LevelImages(smooth(1), smooth(1), ones, ones)), 2 * smooth(3) - 1


def shortest(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest wall time in seconds of several calls after a first one."""
    work()
    timers = [Timer() for _ in range(repeats)]
    for timer in timers:
        with timer:
            work()
    return min(timer.seconds for timer in timers)


if __name__ == "__main__":
    main()
