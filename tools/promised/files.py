"""Applying a transform to images, labels and points, in regzoo and in SimpleITK."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from promised.promise import Place, Promise, ensure, phantom, voxels
from zoo.io.points import write_points
from zoo.io.volume import read_volume

TRANSFORM = "result/transform.nii.gz"
ROUNDING = 0.001
"""Share of an image's range by which voxels may differ, since a file holds rounded values."""
BORDER = 1e-5
"""Share of the voxels that may take the label of a neighbour, since a file holds rounded points."""
SIMPLEITK = """
import sys
import SimpleITK as sitk
fixed, moving = (sitk.ReadImage(path, sitk.sitkFloat32) for path in sys.argv[1:])
transform = sitk.ReadTransform("result/transform.h5")
sitk.WriteImage(sitk.Resample(moving, fixed, transform, sitk.sitkLinear), "by_simpleitk.nii.gz")
"""


def registered(place: Place) -> dict[str, Path]:
    """Put the registration of the pair, which is made once, into `result`; return its files."""
    files = place.images()
    made = place.shared / ("registered-real" if place.pair else "registered-phantom")
    if not made.exists():
        place.register(files, str(made), "--format", "both", "--report=false")
    shutil.copytree(made, place.folder / "result")
    return files


def warp_repeats_the_result(place: Place) -> str:
    """`regzoo warp` with the transform gives warped.nii.gz of the registration."""
    files = registered(place)
    expected = voxels(place.folder / "result/warped.nii.gz")
    fill = min(0.0, float(voxels(files["moving"]).min()))
    differs = {}
    for name, words in (("without --fill", []), (f"with --fill {fill:g}", [f"--fill={fill}"])):
        place.regzoo("warp", files["moving"], TRANSFORM, "again.nii.gz", *words)
        again = voxels(place.folder / "again.nii.gz")
        ensure(again.shape == expected.shape, f"shapes {again.shape} and {expected.shape}")
        differs[name] = 100 * float((np.abs(again - expected) > ROUNDING * np.ptp(expected)).mean())
    seen = ", ".join(f"{name} {share:.2f} %" for name, share in differs.items())
    ensure(not any(differs.values()), f"voxels that differ from warped.nii.gz: {seen}")
    return "no voxel differs by more than 0.1 % of the range"


def labels_are_carried(place: Place) -> str:
    """`regzoo warp --labels` carries a label map as the registration does."""
    files = registered(place)
    if "moving_labels" not in files:
        return "not tried: the pair has no labels"
    place.regzoo("warp", files["moving_labels"], TRANSFORM, "labels.nii.gz", "--labels")
    one, two = (voxels(place.folder / n) for n in ("labels.nii.gz", "result/warped_labels.nii.gz"))
    ensure(one.shape == two.shape, f"shapes {one.shape} and {two.shape}")
    other = int((one != two).sum())
    seen = f"{len(np.unique(one)) - 1} labels, {other} of {one.size} voxels differ"
    ensure(other <= BORDER * one.size, seen)
    return seen


def converted_transform_is_the_same(place: Place) -> str:
    """`regzoo convert` writes the transform in another format that maps points identically, and
    `--back` maps them back.
    """
    files = registered(place)
    place.regzoo("convert", TRANSFORM, "converted.h5")
    points = files.get("fixed_points") or _centre(place, files["fixed"])
    mapped = []
    for k, transform in enumerate((TRANSFORM, "converted.h5")):
        place.regzoo("points", points, transform, f"{k}.csv", "--space", "ras")
        mapped.append(np.loadtxt(place.folder / f"{k}.csv", delimiter=",", skiprows=1, ndmin=2))
    apart = np.abs(mapped[0] - mapped[1]).max()
    ensure(apart < 1e-3, f"the formats differ by {apart:.4f} mm")
    place.regzoo("points", "0.csv", "converted.h5", "back.csv", "--space", "ras", "--back")
    start, back = (
        np.loadtxt(place.folder / p, delimiter=",", skiprows=1, ndmin=2)
        for p in (points, "back.csv")
    )
    loop = np.abs(start - back).max()
    ensure(loop < 0.01, f"there and back again is {loop:.3f} mm off")
    return f"formats differ by {apart:.1e} mm, there and back by {loop:.1e} mm"


def _centre(place: Place, image: Path) -> Path:
    """Write the centre of an image and two points near it as a list of points, RAS+ mm."""
    grid = read_volume(image).grid
    index = (torch.tensor(grid.shape) - 1) / 2 * torch.tensor([[0.9], [1], [1.1]])
    path = place.folder / "points.csv"
    write_points(path, grid.to_world(index.double()), "ras")
    return path


def landmarks_come_closer(place: Place) -> str:
    """`regzoo points` carries landmarks of the fixed image near to those of the moving image."""
    files = phantom(place.shared / "phantom-t1")
    place.register(files, "result", "--report=false")
    place.regzoo("points", files["fixed_points"], TRANSFORM, "out.csv", "--space", "ras")
    fixed, moving, mapped = (
        np.loadtxt(place.folder / p, delimiter=",", skiprows=1)
        for p in (files["fixed_points"], files["moving_points"], "out.csv")
    )
    before = np.linalg.norm(fixed - moving, axis=1).mean()
    after = np.linalg.norm(mapped - moving, axis=1).mean()
    seen = f"landmark error {before:.2f} -> {after:.2f} mm"
    ensure(after < before / 2, seen)
    return seen


def simpleitk_reads_the_transform(place: Place) -> str:
    """SimpleITK reads transform.h5 and resamples the moving image as regzoo does."""
    files = registered(place)
    place.python("-c", SIMPLEITK, files["fixed"], files["moving"])
    one, two = (voxels(place.folder / n) for n in ("by_simpleitk.nii.gz", "result/warped.nii.gz"))
    inside = one != 0  # SimpleITK fills what lies outside the moving image with 0
    worst = float(np.quantile(np.abs(one - two)[inside], 0.999) / np.ptp(two))
    ensure(worst < 0.01, f"the images differ by {100 * worst:.2f} % of the range")
    return f"99.9 % of the voxels differ by less than {100 * worst:.3f} % of the range"


def jacobian_agrees_with_the_figures(place: Place) -> str:
    """`regzoo jacobian` writes a map whose folding is that of the registration's figures."""
    registered(place)
    place.regzoo("jacobian", TRANSFORM, "jacobian.nii.gz")
    determinant = voxels(place.folder / "jacobian.nii.gz")
    folding = 100 * float((determinant <= 0).mean())
    told = place.json("result/result.json")["figures"]["folding_percent"]
    ensure(abs(folding - told) < 0.01, f"folding {folding} % in the map, {told} % in the figures")
    ensure(0.3 < float(np.median(determinant)) < 3, f"median {np.median(determinant)}")
    return f"folding {folding:.3f} %, median determinant {np.median(determinant):.3f}"


FILES: tuple[Promise, ...] = (
    warp_repeats_the_result,
    labels_are_carried,
    converted_transform_is_the_same,
    simpleitk_reads_the_transform,
    jacobian_agrees_with_the_figures,
)

WITH_LANDMARKS: tuple[Promise, ...] = (landmarks_come_closer,)
