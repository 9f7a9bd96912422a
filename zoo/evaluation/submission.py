"""Learn2Reg submissions: one displacement file per pair, in a folder or a zip archive."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.errors import UserError
from zoo.evaluation.cases import Case
from zoo.evaluation.learn2reg import displacement
from zoo.evaluation.learn2reg_names import learn2reg_name
from zoo.io.atomic import atomic_path
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import read_header


def write_submission(cases: Sequence[Case], target: Path, *, half: bool = False) -> list[str]:
    """Write the fields of `cases` into the folder or archive (.zip) `target`; return their names.

    The fields are .nii.gz files of float32. With `half` they are .npz files of float16 at half the
    size along each axis, which the challenge required in its first years.
    """
    names = [_name(case) for case in cases]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(
            f"several pairs would be written as {', '.join(repeated)}; rename their images"
        )
    if target.suffix != ".zip":
        target.mkdir(parents=True, exist_ok=True)
        return [_write(case, target, half).name for case in cases]
    with tempfile.TemporaryDirectory() as scratch, atomic_path(target) as temporary:
        written = []
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for case in cases:
                file = _write(case, Path(scratch), half)
                archive.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
                file.unlink()
                written.append(file.name)
    return written


def _name(case: Case) -> str:
    return learn2reg_name(case.files.fixed, case.files.moving[0])


def _write(case: Case, folder: Path, half: bool) -> Path:
    """Write the field of a case into `folder` and return its path."""
    fixed, moving = (read_header(p).grid for p in (case.files.fixed, case.files.moving[0]))
    transform = read_transform(case.field, fixed, moving)
    path = folder / (_name(case) + (".npz" if half else ".nii.gz"))
    if not half:
        write_transform(path, transform, fixed, moving=moving, format="learn2reg")
        return path
    if any(n % 2 for n in fixed.shape):
        raise UserError(
            f"{case.files.fixed} has the shape {fixed.shape}; half-size fields need an even number "
            "of voxels along each axis: submit full-size fields, without --half"
        )
    from scipy.ndimage import zoom

    field = np.moveaxis(displacement(transform, fixed, moving), -1, 0)
    small = np.stack([zoom(component, 0.5, order=2) for component in field])
    out = io.BytesIO()
    np.savez_compressed(out, small.astype(np.float16))
    with atomic_path(path) as temporary:
        temporary.write_bytes(out.getvalue())
    return path
