"""The table of bad files, and good files from which they are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import nibabel as nib
import numpy as np

Kind = Literal["volume", "labels", "points", "transform"]


class BadFile(NamedTuple):
    kind: Kind
    pattern: str
    make: Callable[[Path], Path]


BAD_FILES: dict[str, BadFile] = {}


def bad(kind: Kind, pattern: str):
    """Register the decorated function under its name, with spaces for underscores."""

    def register(make):
        name = make.__name__.replace("_", " ")
        assert name not in BAD_FILES, f"two bad files are called {name!r}"
        BAD_FILES[name] = BadFile(kind, pattern, make)
        return make

    return register


def good_image(shape=(6, 5, 4), dtype=np.int16, affine=None):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 100, shape).astype(dtype)
    image = nib.Nifti1Image(data, np.diag([2, 2.5, 3, 1]) if affine is None else affine)
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm")
    return image


def save(folder, image, name="bad.nii.gz"):
    path = folder / name
    image.to_filename(path)
    return path


def with_header(folder, **fields):
    """Write a valid .nii file and change fields of its header, which nibabel would refuse."""
    path = save(folder, good_image(), "bad.nii")
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348])
    for key, value in fields.items():
        header[key] = value
    header["vox_offset"] = fields.get("vox_offset", 352)
    header["magic"] = fields.get("magic", b"n+1")
    path.write_bytes(header.binaryblock + content[348:])
    return path


def field_image(shape=(6, 5, 4, 1, 3), intent=1007, dtype=np.float32):
    image = good_image(shape, dtype)
    image.header.set_intent(intent)
    return image


def text(folder, name, content):
    path = folder / name
    path.write_text(content)
    return path
