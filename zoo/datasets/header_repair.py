"""Repairing headers whose correct values are certain, in copies; the originals stay unchanged."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import SPACING_MM, inspect_header
from zoo.datasets.problems import Problem
from zoo.errors import UserError
from zoo.io.atomic import atomic_path
from zoo.io.files import is_gzip, open_decompressed
from zoo.io.nifti import open_nifti
from zoo.io.nifti_affine import NibabelHeader

REPAIRABLE = ("unit", "qform-broken", "spacing-not-positive")
"""Problems that can be repaired: an implausible unit, and a qform or pixdim that is invalid while
the sform is valid."""


def repair_headers(dataset: Dataset, problems: Sequence[Problem], folder: Path) -> list[str]:
    """Write copies with repaired headers into `folder`, under the same names; return the names."""
    if folder.resolve() == dataset.root.resolve():
        raise UserError(
            f"--fix {folder} is the dataset's own folder; give another folder for the copies"
        )
    names = [p.file for p in problems if p.id in REPAIRABLE]
    return [name for name in dict.fromkeys(names) if _repair(dataset.root, name, folder)]


def _repair(root: Path, name: str, folder: Path) -> bool:
    """Write a repaired copy of one file; return whether its header could be repaired."""
    header = open_nifti(root / name).header
    if int(header["sform_code"]) <= 0:
        return False  # only the sform can supply the correct values
    sform = np.eye(4)
    sform[:3] = [header[row] for row in ("srow_x", "srow_y", "srow_z")]
    spacing = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.isfinite(sform).all():
        return False
    if not SPACING_MM[0] <= spacing.min() <= spacing.max() <= SPACING_MM[1]:
        return False
    header["xyzt_units"] = (int(header["xyzt_units"]) & ~7) | 2
    header["pixdim"][1:4] = spacing
    try:
        header.set_qform(sform, code=int(header["sform_code"]), strip_shears=False)
    except (nib.spatialimages.HeaderDataError, ValueError):
        return False
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy(root / name, target, header)
    if inspect_header(folder, name)[0] is None:
        target.unlink()
        return False
    return True


def _copy(source: Path, target: Path, header: NibabelHeader) -> None:
    """Copy a file and replace its header by another one of the same length."""
    block = bytes(header.binaryblock)
    with atomic_path(target) as temporary, open_decompressed(source) as old:
        old.read(len(block))
        compressed = is_gzip(source)
        with gzip.open(temporary, "wb", 6) if compressed else temporary.open("wb") as new:
            new.write(block)
            while chunk := old.read(1 << 20):
                new.write(chunk)
