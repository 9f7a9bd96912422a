"""Images rendered from label maps of whole heads, with fixed contrasts and exact labels.

The label maps are those of SynthSeg (`anatomy_synthseg` of a data folder, FreeSurfer's numbers);
the persons 13 to 16 are held out from every training. A rendered image has one mean intensity per
label, partial volume at the borders, a mild bias field and mild Rician noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from scipy import ndimage

from zoo.geometry import Grid
from zoo.io.volume import Volume, read_volume, write_volume

Contrast = Literal["t1", "t2", "flair"]
Box = tuple[slice, slice, slice]
Cut = Literal["neck", "skull", "left", "right"]

HELD_OUT = (13, 14, 15, 16)
"""The persons on whose label maps no weights are trained."""

LEFT_TO_RIGHT = {
    **{left: left + 39 for left in (2, 3, 4, 7, 8)},
    **{left: left + 39 for left in (10, 11, 12, 13)},
    **{17: 53, 18: 54, 26: 58, 28: 60},
}
"""The brain structures that are judged, left and right: FreeSurfer's numbers."""
STRUCTURES = (*LEFT_TO_RIGHT, *LEFT_TO_RIGHT.values(), 14, 15, 16)
"""The labels that are judged: `LEFT_TO_RIGHT`, third and fourth ventricle, and brainstem."""

_PARTIAL_VOLUME_SIGMA = 0.6
"""Blur of the mean intensities in voxels: a point spread of 1.4 voxels at half its height."""
_NOISE = 2.5
"""Standard deviation of the noise; white matter has 110 in T1."""
_BIAS = 0.08
"""Standard deviation of the logarithm of the bias field."""
_BIAS_KNOTS = 4
"""Knots of the bias field along each axis."""

# Means of T1, T2 and FLAIR. The labels of both sides share a line.
_MEANS: tuple[tuple[str, tuple[int, ...], tuple[float, float, float]], ...] = (
    ("cerebral white matter", (2, 41), (110, 68, 75)),
    ("cerebral cortex", (3, 42), (76, 96, 102)),
    ("lateral ventricles", (4, 43, 5, 44), (24, 205, 18)),
    ("third and fourth ventricle", (14, 15), (26, 200, 22)),
    ("cerebellar white matter", (7, 46), (106, 70, 76)),
    ("cerebellar cortex", (8, 47), (80, 94, 95)),
    ("thalamus", (10, 49), (94, 80, 88)),
    ("caudate", (11, 50), (82, 90, 98)),
    ("putamen", (12, 51), (87, 84, 94)),
    ("pallidum", (13, 52), (100, 58, 72)),
    ("brainstem", (16,), (98, 76, 82)),
    ("hippocampus", (17, 53), (75, 100, 110)),
    ("amygdala", (18, 54), (74, 98, 108)),
    ("cerebrospinal fluid", (24,), (22, 210, 15)),
    ("lesion of white matter", (25, 57), (84, 125, 150)),
    ("accumbens", (26, 58), (80, 90, 100)),
    ("ventral diencephalon", (28, 60), (95, 76, 84)),
    ("perivascular space", (30, 62), (45, 170, 35)),
    ("fifth ventricle", (72,), (24, 205, 18)),
    ("optic chiasm", (85,), (92, 84, 88)),
    ("choroid plexus", (136, 137, 163, 164), (50, 160, 85)),
    ("artery", (502,), (90, 14, 14)),
    ("eye", (506,), (24, 195, 25)),
    ("muscle and other soft tissue", (507,), (66, 48, 52)),
    ("rectus muscle", (508,), (62, 50, 55)),
    ("mucosa", (509,), (60, 135, 100)),
    ("skin and fat below it", (511,), (96, 88, 78)),
    ("spinal cord", (512,), (96, 78, 82)),
    ("vein", (514,), (48, 24, 30)),
    ("cortical bone", (515,), (12, 10, 10)),
    ("marrow", (516,), (84, 62, 55)),
    ("optic nerve", (530,), (90, 80, 84)),
)
_FIRST_OUTSIDE = 500
"""Labels from here on lie outside the brain."""
_CEREBROSPINAL_FLUID = 24
_SULCUS = 6
"""Half the width in voxels of gaps that skull-stripping closes: sulci keep their fluid."""
_STRIPPED_MARGIN = 8
"""Voxels around the brain in a skull-stripped image."""


@dataclass(frozen=True)
class RenderedHead:
    """An image, float32 [X, Y, Z], and the labels of `STRUCTURES`, int16 [X, Y, Z], on one grid."""

    image: np.ndarray
    structures: np.ndarray
    grid: Grid


def label_map(folder: Path, person: int) -> Volume:
    """Read the label map of a person, 1 to 16, in the folder `anatomy_synthseg`."""
    return read_volume(folder / f"head_labels_{person:02d}.nii.gz")


def render(
    volume: Volume,
    contrast: Contrast,
    seed: int,
    stripped: bool = False,
    cut: Cut | None = None,
    padded: bool = False,
) -> RenderedHead:
    """Render a label map; `seed` draws noise, bias field and the place of the cut.

    `stripped` leaves only the brain, on a grid that fits it. A `cut` removes a part of the head:
    with `padded` its voxels are 0, else the grid ends there.
    """
    random = np.random.default_rng(seed)
    labels, grid = volume.data.numpy().astype(np.int16), volume.grid
    if stripped:
        box = _brain_box(labels)
        labels, grid = np.ascontiguousarray(labels[box]), _grid_of(grid, box)
    image = ndimage.gaussian_filter(mean_intensities(labels, contrast), _PARTIAL_VOLUME_SIGMA)
    image *= _bias_field(labels.shape, random)
    image = np.hypot(
        image + random.normal(0, _NOISE, image.shape), random.normal(0, _NOISE, image.shape)
    )
    if stripped:
        image[~brain_mask(labels)] = 0
    structures = np.where(np.isin(labels, STRUCTURES), labels, 0).astype(np.int16)
    head = RenderedHead(image.astype(np.float32), structures, grid)
    if cut is None:
        return head
    kept = kept_part(labels, cut, random)
    return _with_padding(head, kept) if padded else _cropped(head, kept)


def write_head(head: RenderedHead, image: Path, structures: Path) -> None:
    """Write the image, rounded to int16, and the labels."""
    write_volume(image, torch.from_numpy(head.image), head.grid, torch.int16)
    write_volume(structures, torch.from_numpy(head.structures), head.grid)


def mean_intensities(labels: np.ndarray, contrast: Contrast) -> np.ndarray:
    """Return the mean intensity of the label of each voxel: float32 [X, Y, Z]."""
    column = get_args(Contrast).index(contrast)
    table = np.full(int(labels.max()) + 1, np.nan, dtype=np.float32)
    table[0] = 0
    for _, names, means in _MEANS:
        for label in names:
            if label < len(table):
                table[label] = means[column]
    image = table[labels]
    if np.isnan(image).any():
        unknown = sorted(np.unique(labels[np.isnan(image)]).tolist())
        raise ValueError(f"no intensity is known for the labels {unknown}")
    return image


def brain_mask(labels: np.ndarray) -> np.ndarray:
    """Return where the brain is, with the fluid in its sulci: bool [X, Y, Z]."""
    brain = (labels > 0) & (labels < _FIRST_OUTSIDE) & (labels != _CEREBROSPINAL_FLUID)
    closed = ndimage.binary_closing(np.pad(brain, _SULCUS), iterations=_SULCUS)
    inside = slice(_SULCUS, -_SULCUS)
    return closed[inside, inside, inside] & (labels > 0) & (labels < _FIRST_OUTSIDE)


def kept_part(labels: np.ndarray, cut: Cut, random: np.random.Generator) -> Box:
    """Return the voxels that remain after a cut; the axes of `labels` are RAS.

    The neck loses 40 to 60 % of its height below the brain, the skull as much of the height of the
    brain from above, and a side 15 to 35 % of the width of the brain.
    """
    share = random.uniform(0.4, 0.6) if cut in ("neck", "skull") else random.uniform(0.15, 0.35)
    axis = 2 if cut in ("neck", "skull") else 0
    first, last = _extent(brain_mask(labels), axis)
    start, stop = 0, labels.shape[axis]
    if cut == "neck":
        bottom, _ = _extent(labels > 0, axis)
        start = round(bottom + share * (first - bottom))
    elif cut == "left":
        start = round(first + share * (last - first))
    else:
        stop = round(last - share * (last - first))
    kept = [slice(0, n) for n in labels.shape]
    kept[axis] = slice(start, stop)
    return kept[0], kept[1], kept[2]


def _extent(mask: np.ndarray, axis: int) -> tuple[int, int]:
    """Return the first and the last index along an axis at which a mask has a voxel."""
    places = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
    return int(places[0]), int(places[-1])


def _bias_field(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """Return a smooth field of factors about 1: float32 [X, Y, Z]."""
    knots = random.normal(0, 1, (_BIAS_KNOTS,) * 3)
    factors = [n / _BIAS_KNOTS for n in shape]
    smooth = ndimage.zoom(knots, factors, order=3, mode="nearest", grid_mode=True)
    return np.exp(_BIAS * (smooth - smooth.mean()) / smooth.std()).astype(np.float32)


def _brain_box(labels: np.ndarray) -> Box:
    """Return the voxels of the brain with a margin."""
    mask = brain_mask(labels)
    ends = [_extent(mask, axis) for axis in range(3)]
    a, b, c = (
        slice(max(first - _STRIPPED_MARGIN, 0), last + 1 + _STRIPPED_MARGIN) for first, last in ends
    )
    return a, b, c


def _grid_of(grid: Grid, box: Box) -> Grid:
    """Return the part of a grid that a box of voxels covers."""
    affine = grid.affine.clone()
    start = torch.tensor([part.start for part in box], dtype=affine.dtype)
    affine[:3, 3] += affine[:3, :3] @ start
    a, b, c = (len(range(*part.indices(n))) for part, n in zip(box, grid.shape, strict=True))
    return Grid((a, b, c), affine)


def _cropped(head: RenderedHead, kept: Box) -> RenderedHead:
    image, structures = (np.ascontiguousarray(a[kept]) for a in (head.image, head.structures))
    return RenderedHead(image, structures, _grid_of(head.grid, kept))


def _with_padding(head: RenderedHead, kept: Box) -> RenderedHead:
    image, structures = np.zeros_like(head.image), np.zeros_like(head.structures)
    image[kept], structures[kept] = head.image[kept], head.structures[kept]
    return RenderedHead(image, structures, head.grid)
