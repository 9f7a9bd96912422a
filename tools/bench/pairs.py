"""The pairs that are registered: a data folder's, and phantoms made on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair


@dataclass(frozen=True)
class BenchPair:
    """Files of one pair, and what a planner is told of it.

    `truth` is an ITK transform or a .npy field [X, Y, Z, 3] in RAS+ mm.
    """

    name: str
    fixed: Path
    moving: Path
    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    truth: Path | None = None
    modality: tuple[str, str] = ("t1", "t2")
    anatomy: str = "brain"
    pairing: Literal["inter", "intra"] = "intra"


FILES = ("fixed", "moving", "fixed_labels", "moving_labels", "truth")

_TOLD: dict[str, dict[str, Any]] = {
    "malf_1000_1001": {"modality": ("t1", "t1"), "pairing": "inter"},
    "malf_1000_1003": {"modality": ("t1", "t1"), "pairing": "inter"},
    "tcga_t1_t2_syn": {"modality": ("t1", "t2")},
    "abdomen_ct_syn": {"modality": ("ct", "ct"), "anatomy": "abdomen"},
    "aorta_ct_syn": {"modality": ("ct", "ct"), "anatomy": "lung"},
}

_PAIRS = {
    "malf_1000_1001": {
        "fixed": "brain_malf_oasis/1000_t1.nii.gz",
        "moving": "brain_malf_oasis/1001_t1.nii.gz",
        "fixed_labels": "brain_malf_oasis/1000_labels.nii.gz",
        "moving_labels": "brain_malf_oasis/1001_labels.nii.gz",
    },
    "malf_1000_1003": {
        "fixed": "brain_malf_oasis/1000_t1.nii.gz",
        "moving": "brain_malf_oasis/1003_t1.nii.gz",
        "fixed_labels": "brain_malf_oasis/1000_labels.nii.gz",
        "moving_labels": "brain_malf_oasis/1003_labels.nii.gz",
    },
    "tcga_t1_t2_syn": {
        "fixed": "brain_mm_tcga/t1.nii.gz",
        "moving": "synthetic/tcga_t2_moving.nii.gz",
        "truth": "synthetic/tcga_t2_truth.tfm",
    },
    "abdomen_ct_syn": {
        "fixed": "abdomen_ct_totalseg/ct.nii.gz",
        "moving": "synthetic/abdomen_ct_moving.nii.gz",
        "fixed_labels": "abdomen_ct_totalseg/labels.nii.gz",
        "moving_labels": "synthetic/abdomen_ct_moving_labels.nii.gz",
        "truth": "synthetic/abdomen_ct_truth.tfm",
    },
    "aorta_ct_syn": {
        "fixed": "thorax_ct_totalseg_aorta/ct.nii.gz",
        "moving": "synthetic/aorta_ct_moving.nii.gz",
        "truth": "synthetic/aorta_ct_truth.tfm",
    },
}


def data_pairs(folder: Path) -> list[BenchPair]:
    """Return the pairs of a data folder whose images are all there."""
    pairs = [
        BenchPair(name, **{k: folder / v for k, v in files.items()}, **_TOLD.get(name, {}))
        for name, files in _PAIRS.items()
    ]
    return [pair for pair in pairs if pair.fixed.is_file() and pair.moving.is_file()]


def phantom_pairs(folder: Path, sizes: list[int], seed: int) -> list[BenchPair]:
    """Write a T1/T2 phantom of each size (voxels an axis; one field of view) and return them."""
    return [_phantom(folder / f"phantom_{size}_{seed}", size, seed) for size in sizes]


def _phantom(folder: Path, size: int, seed: int) -> BenchPair:
    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    files = {name: folder / f"{name}.nii.gz" for name in names}
    pair = BenchPair(f"phantom_{size}", **files, truth=folder / "truth.npy")
    if pair.truth.is_file():
        return pair
    folder.mkdir(parents=True, exist_ok=True)
    made = make_pair(seed, shape=(size,) * 3, spacing=(224 / size,) * 3, contrasts=("t1", "t2"))
    for name in names:
        grid = made.fixed_grid if name.startswith("fixed") else made.moving_grid
        write_volume(files[name], getattr(made, name), grid)
    np.save(pair.truth, made.truth.field.permute(1, 2, 3, 0).numpy())
    return pair


def true_field(pair: BenchPair) -> np.ndarray:
    """Return the true displacement on the fixed grid: [X, Y, Z, 3], RAS+ mm."""
    if pair.truth.suffix == ".npy":
        return np.load(pair.truth)
    import SimpleITK as sitk

    fixed = sitk.ReadImage(str(pair.fixed))
    transform = sitk.ReadTransform(str(pair.truth))
    field = sitk.TransformToDisplacementField(
        transform,
        sitk.sitkVectorFloat32,
        fixed.GetSize(),
        fixed.GetOrigin(),
        fixed.GetSpacing(),
        fixed.GetDirection(),
    )
    lps = sitk.GetArrayFromImage(field).transpose(2, 1, 0, 3)
    return lps * np.array([-1, -1, 1], dtype=np.float32)


def one_grid(pair: BenchPair) -> bool:
    """Say whether both images lie on one grid."""
    return read_volume(pair.fixed).grid.same_as(read_volume(pair.moving).grid)
