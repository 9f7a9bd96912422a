"""What do the compiled loops of the affine search and of MCBO gain over the same in torch?

    PYTHONPATH=tools python -m benchmarks.kernels --sizes 16,48,96,160

CPU seconds of one thread, the smallest of the repeats, after a first call that compiles or loads
the loops. The affine search aligns phantoms of two contrasts. The comparison of features is that of
one iteration of MCBO's refinement: 12 channels, positions about a voxel off the grid.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness.measurement import Timer
from benchmarks.harness.tables import heading, row
from zoo.geometry.sampling import identity_index
from zoo.solvers.affine import align_affine
from zoo.solvers.features import compare_features
from zoo.synthesis.phantom import make_pair

COMPILED = (
    "zoo.solvers.affine.compiled",
    "zoo.solvers.features.cpu_kernel",
    "zoo.solvers.features.cuda_kernel",
)
CHANNELS = 12


def main() -> None:
    """Print a table with a row per size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="16,48,96,160", help="voxels along each axis")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    titles = ["affine search, torch", "compiled", "comparison, torch", "compiled"]
    print(heading(["voxels"], titles))
    for size in map(int, args.sizes.split(",")):
        cells = []
        for work in (affine_search(size), comparison(size)):
            with without_compiled_loops():
                cells.append(seconds(work, args.repeats))
            cells.append(seconds(work, args.repeats))
        print(row([f"{size}^3", *(f"{cell:.3f}" for cell in cells)]), flush=True)


def affine_search(size: int) -> Callable[[], object]:
    """Return an alignment of phantoms of two contrasts."""
    voxel = 192 / size
    pair = make_pair(3, shape=(size,) * 3, spacing=(voxel,) * 3, contrasts=("t1", "t2"))
    return partial(align_affine, pair.fixed, pair.fixed_grid, pair.moving, pair.moving_grid)


def comparison(size: int) -> Callable[[], object]:
    """Return a comparison of smooth random features."""
    generator = torch.Generator().manual_seed(0)
    shape = (size,) * 3

    def features() -> Tensor:
        coarse = torch.rand(1, CHANNELS, *(max(n // 4, 2) for n in shape), generator=generator)
        return F.interpolate(coarse, size=shape, mode="trilinear")

    index = identity_index(shape) + torch.randn(1, 3, *shape, generator=generator)
    return partial(compare_features, features(), features(), index)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the smallest CPU time of several calls after a first one."""
    work()
    timers = [Timer() for _ in range(repeats)]
    for timer in timers:
        with timer:
            work()
    return min(timer.cpu_seconds for timer in timers)


@contextmanager
def without_compiled_loops() -> Iterator[None]:
    """Make the import of the compiled loops fail, as on a computer without numba or Triton."""
    saved = {name: sys.modules.pop(name, None) for name in COMPILED}
    sys.modules.update(dict.fromkeys(COMPILED))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in saved.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


if __name__ == "__main__":
    main()
