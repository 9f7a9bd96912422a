"""Warping and Jacobian of a large volume, beside SimpleITK on the same cores; and inversion.

    python tools/benchmark_geometry.py [--size 256] [--threads 2] [--repeats 3]

The two take turns in one run; the table holds the fastest of the repeats.
"""

import argparse
import time

import numpy as np
import SimpleITK as sitk
import torch

from zoo.geometry import Grid, Transform, invert, jacobian_determinant, warp


def smooth_transform(grid, size_mm=4.0):
    """Return a random smooth transform on a grid."""
    coarse = size_mm * torch.randn(1, 3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    field = torch.nn.functional.interpolate(coarse, grid.shape, mode="trilinear")[0]
    return Transform(torch.eye(4), field, grid)


def itk_image(data, grid):
    """Return a SimpleITK image of a tensor [X, Y, Z] or of vectors [3, X, Y, Z] in RAS mm."""
    if data.ndim == 4:
        vectors = data.permute(3, 2, 1, 0).double().numpy() * [-1, -1, 1]
        image = sitk.GetImageFromArray(np.ascontiguousarray(vectors), isVector=True)
    else:
        image = sitk.GetImageFromArray(np.ascontiguousarray(data.permute(2, 1, 0).numpy()))
    image.SetSpacing(grid.spacing)
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    return image


def fastest(jobs, repeats):
    """Run the jobs in turn, `repeats` times, and return each one's fastest time in seconds."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(options.threads)

    grid = Grid.from_spacing((options.size,) * 3)
    transform = smooth_transform(grid)
    volume = torch.rand(1, *grid.shape)
    labels = torch.randint(0, 100, (1, *grid.shape), dtype=torch.uint8)
    image, label_image = itk_image(volume[0], grid), itk_image(labels[0], grid)
    field = itk_image(transform.field, grid)
    itk = sitk.DisplacementFieldTransform(sitk.Image(field))

    def resample(source, method):
        return lambda: sitk.Resample(source, source, itk, method, 0.0)

    def ours(source, how):
        return lambda: warp(source, grid, grid, transform, interpolation=how)

    jobs = {
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
    print(f"{options.size}^3 voxels, {options.threads} threads, fastest of {options.repeats}")
    print("| job | seconds |\n|---|---|")
    for name, seconds in fastest(jobs, options.repeats).items():
        print(f"| {name} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
