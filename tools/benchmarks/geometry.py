"""How long do warping, Jacobian and inversion of a large volume take beside SimpleITK?

    PYTHONPATH=tools python -m benchmarks.geometry [--size 256] [--threads 2] [--repeats 3]

Both libraries take turns in one process on the same cores; the table holds the fastest repeat.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import SimpleITK as sitk
import torch

from benchmarks.harness.measurement import Timer
from benchmarks.harness.tables import heading, row
from zoo.geometry import Grid, Transform, invert, jacobian_determinant, warp

Interpolation = Literal["linear", "cubic", "nearest"]
Jobs = Mapping[str, Callable[[], object]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=256, help="voxels along each axis")
    parser.add_argument("--threads", type=int, default=2, help="threads of both libraries")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each job")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(args.threads)
    print(f"{args.size}^3 voxels, {args.threads} threads, fastest of {args.repeats} runs\n")
    print(heading(["job"], ["seconds"]))
    for name, seconds in fastest(make_jobs(args.size), args.repeats).items():
        print(row([name, f"{seconds:.2f}"]))


def make_jobs(size: int) -> Jobs:
    """Return the jobs to time, by name."""
    grid = Grid.from_spacing((size,) * 3)
    transform = smooth_transform(grid)
    volume = torch.rand(1, *grid.shape)
    labels = torch.randint(0, 100, (1, *grid.shape), dtype=torch.uint8)
    image, label_image = itk_image(volume[0], grid), itk_image(labels[0], grid)
    assert transform.field is not None
    field = itk_image(transform.field, grid)
    itk_transform = sitk.DisplacementFieldTransform(sitk.Image(field))

    def resample(source: sitk.Image, method: int) -> Callable[[], object]:
        return lambda: sitk.Resample(source, source, itk_transform, method, 0.0)

    def ours(source: torch.Tensor, interpolation: Interpolation) -> Callable[[], object]:
        return lambda: warp(source, grid, grid, transform, interpolation=interpolation)

    return {
        "linear, regzoo": ours(volume, "linear"),
        "linear, SimpleITK": resample(image, sitk.sitkLinear),
        "nearest, regzoo": ours(labels, "nearest"),
        "nearest, SimpleITK": resample(label_image, sitk.sitkNearestNeighbor),
        "cubic, regzoo": ours(volume, "cubic"),
        "cubic, SimpleITK": resample(image, sitk.sitkBSpline),
        "Jacobian, regzoo": lambda: jacobian_determinant(transform),
        "Jacobian, SimpleITK": lambda: sitk.DisplacementFieldJacobianDeterminant(field),
        "inversion to 0.01 mm, regzoo": lambda: invert(transform, grid),
    }


def fastest(jobs: Jobs, repeats: int) -> dict[str, float]:
    """Run the jobs in turns and return the fastest time of each in seconds."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(repeats):
        for name, job in jobs.items():
            with Timer() as timer:
                job()
            best[name] = min(best[name], timer.seconds)
    return best


def smooth_transform(grid: Grid, size_mm: float = 4.0) -> Transform:
    """Return a smooth random transform on a grid, of about `size_mm`."""
    coarse = size_mm * torch.randn(1, 3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    field = torch.nn.functional.interpolate(coarse, grid.shape, mode="trilinear")[0]
    return Transform(torch.eye(4), field, grid)


def itk_image(data: torch.Tensor, grid: Grid) -> sitk.Image:
    """Return a SimpleITK image of a tensor [X, Y, Z], or of vectors [3, X, Y, Z] in RAS+ mm."""
    if data.ndim == 4:
        vectors = data.permute(3, 2, 1, 0).double().numpy() * [-1, -1, 1]
        image = sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(data.permute(2, 1, 0).numpy()))
    image.SetSpacing(grid.spacing)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


if __name__ == "__main__":
    main()
