"""A Learn2Reg submission: one displacement file a pair, in a folder or a zip."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import zoom

from zoo.errors import UserError
from zoo.evaluation.cases import Case, learn2reg_name
from zoo.evaluation.learn2reg import displacement
from zoo.io.atomic import atomic_path
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import read_header


def write_submission(cases: Sequence[Case], target: Path, *, half: bool = False) -> list[str]:
    """Write the fields of `cases` into the folder `target`, or into the archive `target` (.zip).

    Full fields are .nii.gz of float32. With `half` they are .npz of float16 at half the size along
    each axis, as the challenge's first years asked for. Returns the names written.
    """
    names = [learn2reg_name(case.files) for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"several pairs would be written as {', '.join(twice)}; rename the images")
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


def _write(case: Case, folder: Path, half: bool) -> Path:
    fixed, moving = (read_header(p).grid for p in (case.files.fixed, case.files.moving[0]))
    transform = read_transform(case.field, fixed, moving)
    path = folder / (learn2reg_name(case.files) + (".npz" if half else ".nii.gz"))
    if not half:
        write_transform(path, transform, fixed, moving=moving, format="learn2reg")
        return path
    if any(n % 2 for n in fixed.shape):
        raise UserError(
            f"{case.files.fixed} has the shape {fixed.shape}; fields of half the size need an even "
            "number of voxels along each axis: submit them in full"
        )
    field = np.moveaxis(displacement(transform, fixed, moving), -1, 0)
    small = np.stack([zoom(component, 0.5, order=2) for component in field])
    out = io.BytesIO()
    np.savez_compressed(out, small.astype(np.float16))
    with atomic_path(path) as temporary:
        temporary.write_bytes(out.getvalue())
    return path
