"""Mending headers whose meaning is beyond doubt, in copies; the files stay as they are."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from zoo.datasets.dataset import Dataset
from zoo.datasets.headers import SPACING_MM, look_at
from zoo.datasets.problems import Problem
from zoo.errors import UserError
from zoo.io.atomic import atomic_path
from zoo.io.files import is_gzip, open_decompressed
from zoo.io.nifti import open_nifti
from zoo.io.nifti_affine import NibabelHeader

SAFE = ("unit", "qform-broken", "spacing-not-positive")
"""What is mended: a unit that cannot be meant, and a qform or pixdim that the sform contradicts."""


def repair_headers(dataset: Dataset, problems: Sequence[Problem], folder: Path) -> list[str]:
    """Write copies with mended headers below `folder`, under the same names; return the names."""
    if folder.resolve() == dataset.root.resolve():
        raise UserError(f"--fix {folder} is the dataset itself; give a folder for the copies")
    names = [p.file for p in problems if p.id in SAFE]
    return [name for name in dict.fromkeys(names) if _mended(dataset.root, name, folder)]


def _mended(root: Path, name: str, folder: Path) -> bool:
    """Write one copy; say whether its header could be mended."""
    header = open_nifti(root / name).header
    if int(header["sform_code"]) <= 0:
        return False  # without an sform there is nothing to mend the rest by
    sform = np.eye(4)
    sform[:3] = [header[row] for row in ("srow_x", "srow_y", "srow_z")]
    sides = np.linalg.norm(sform[:3, :3], axis=0)
    if not (np.isfinite(sform).all() and SPACING_MM[0] <= sides.min() <= sides.max() <= 20):
        return False
    header["xyzt_units"] = (int(header["xyzt_units"]) & ~7) | 2
    header["pixdim"][1:4] = sides
    try:
        header.set_qform(sform, code=int(header["sform_code"]), strip_shears=False)
    except (nib.spatialimages.HeaderDataError, ValueError):
        return False
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy(root / name, target, header)
    if look_at(folder, name)[0] is None:
        target.unlink()
        return False
    return True


def _copy(source: Path, target: Path, header: NibabelHeader) -> None:
    """Copy a file with another header of the same length."""
    block = bytes(header.binaryblock)
    with atomic_path(target) as temporary, open_decompressed(source) as old:
        old.read(len(block))
        compressed = is_gzip(source)
        with gzip.open(temporary, "wb", 6) if compressed else temporary.open("wb") as new:
            new.write(block)
            while chunk := old.read(1 << 20):
                new.write(chunk)
