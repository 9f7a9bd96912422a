"""Image pairs to register: those of a data folder, and synthetic phantoms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair


@dataclass(frozen=True)
class BenchPair:
    """Files of one pair, and the facts that a planner needs.

    `truth` is an ITK transform, or a .npy displacement [X, Y, Z, 3] in RAS+ mm on the fixed grid.
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

    @property
    def one_contrast(self) -> bool:
        """Whether both images have the same contrast."""
        return self.modality[0] == self.modality[1]


_PATHS = ("fixed", "moving", "fixed_labels", "moving_labels", "truth")

_FACTS: dict[str, dict[str, Any]] = {
    "malf_1000_1001": {"modality": ("t1", "t1"), "pairing": "inter"},
    "malf_1000_1003": {"modality": ("t1", "t1"), "pairing": "inter"},
    "tcga_t1_t2_syn": {"modality": ("t1", "t2")},
    "abdomen_ct_syn": {"modality": ("ct", "ct"), "anatomy": "abdomen"},
    "aorta_ct_syn": {"modality": ("ct", "ct"), "anatomy": "lung"},
}

_FILES = {
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


_HEAD_AND_NECK = "hn_openkbp_val"
_HEAD_AND_NECK_PAIRS = 4


def data_pairs(folder: Path, necks: int = _HEAD_AND_NECK_PAIRS) -> list[BenchPair]:
    """Return the pairs of a data folder whose two images exist, with at most so many of necks."""
    pairs = [
        BenchPair(name, **_FACTS[name], **_paths(folder, files)) for name, files in _FILES.items()
    ]
    pairs += _head_and_neck_pairs(folder / _HEAD_AND_NECK, necks)
    return [pair for pair in pairs if pair.fixed.is_file() and pair.moving.is_file()]


def _head_and_neck_pairs(folder: Path, count: int) -> list[BenchPair]:
    """Return the first patients, in order, as pairs: the first two, the next two, and so on."""
    patients = [path.name.removesuffix("_ct.nii.gz") for path in folder.glob("*_ct.nii.gz")]
    patients = sorted(patients)[: 2 * count]
    return [
        BenchPair(
            f"hn_{fixed.removeprefix('pt_')}_{moving.removeprefix('pt_')}",
            folder / f"{fixed}_ct.nii.gz",
            folder / f"{moving}_ct.nii.gz",
            folder / f"{fixed}_oars.nii.gz",
            folder / f"{moving}_oars.nii.gz",
            modality=("ct", "ct"),
            anatomy="head-neck",
            pairing="inter",
        )
        for fixed, moving in zip(patients[::2], patients[1::2], strict=False)
    ]


def _paths(folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    return {role: folder / name for role, name in files.items()}


def phantom_pairs(folder: Path, sizes: list[int], seed: int) -> list[BenchPair]:
    """Write a T1/T2 phantom of each size, unless it exists, and return the pairs.

    A size is the number of voxels along each axis; the field of view is the same for all.
    """
    return [_phantom(folder / f"phantom_{size}_{seed}", size, seed) for size in sizes]


def _phantom(folder: Path, size: int, seed: int) -> BenchPair:
    names = ("fixed", "moving", "fixed_labels", "moving_labels")
    files: dict[str, Any] = {name: folder / f"{name}.nii.gz" for name in names}
    truth = folder / "truth.npy"
    pair = BenchPair(f"phantom_{size}", **files, truth=truth)
    if truth.is_file():
        return pair
    folder.mkdir(parents=True, exist_ok=True)
    phantom = make_pair(seed, shape=(size,) * 3, spacing=(224 / size,) * 3, contrasts=("t1", "t2"))
    for name in names:
        grid = phantom.fixed_grid if name.startswith("fixed") else phantom.moving_grid
        write_volume(files[name], getattr(phantom, name), grid)
    assert phantom.truth.field is not None
    np.save(truth, phantom.truth.field.permute(1, 2, 3, 0).numpy())
    return pair


def pair_document(pair: BenchPair) -> dict[str, Any]:
    """Return the fields of a pair as JSON values; the paths are absolute."""
    return {
        name: str(value.resolve()) if isinstance(value, Path) else value
        for name, value in asdict(pair).items()
    }


def pair_from_document(document: dict[str, Any]) -> BenchPair:
    """Return the pair of a document."""
    paths = {name: Path(document[name]) for name in _PATHS if document[name] is not None}
    return BenchPair(**{**document, "modality": tuple(document["modality"]), **paths})


def true_field(pair: BenchPair) -> np.ndarray:
    """Return the true displacement on the fixed grid: [X, Y, Z, 3], RAS+ mm."""
    assert pair.truth is not None
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


def same_grid(pair: BenchPair) -> bool:
    """Return whether both images have the same grid."""
    return read_volume(pair.fixed).grid.same_as(read_volume(pair.moving).grid)
