"""The affine of a NIfTI header, with checks of everything that programs interpret differently.

sform, qform, pixdim and the unit describe the position of the voxels more than once. Where they
contradict each other, readers disagree about the position, so such a header is refused with an
error that says how to correct it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from zoo.errors import UserError

NibabelHeader = Any
"""A header of nibabel, whose methods have no types."""

_UNITS = {0: "unknown", 1: "metre", 2: "mm", 3: "micron"}
_FORM_CODES = 6  # unknown, scanner, aligned, Talairach, MNI and template
_TOLERANCE_MM = 1e-3  # between two descriptions of the same voxel in one header
_MAX_COSINE = 1e-4  # between two axes; ITK refuses more
_ROUNDING = 3.6e-7  # of 1 - b^2 - c^2 - d^2 for a quaternion stored as float32


def affine_and_errors(
    path: Path, header: NibabelHeader, shape: tuple[int, ...]
) -> tuple[np.ndarray | None, list[UserError]]:
    """Return the affine (4x4, RAS+ mm) of a header and all reasons to refuse it.

    The sform takes precedence over the qform. The affine is None if neither can be read.
    """
    shape = (*shape[:3], 1, 1)[:3]
    errors: list[UserError] = []

    def passes(check: Callable[..., object], *arguments: object) -> bool:
        try:
            check(path, *arguments)
        except UserError as error:
            errors.append(error)
            return False
        return True

    passes(_check_unit, header)
    passes(_check_known_codes, header)
    sform = _sform(header)
    qform = _qform(path, header) if passes(_qform, header) else None
    affine = qform if sform is None else sform
    if affine is None:
        passes(_check_form_codes, header)
    elif passes(_check_affine, affine):
        passes(_check_spacing, header, affine, shape)
        if sform is not None and qform is not None:
            passes(_check_agreement, header, sform, qform, shape)
    return affine, errors


def check_right_angles(path: Path, affine: np.ndarray) -> None:
    """Refuse to write a sheared affine to `path`: NIfTI's qform and ITK cannot store it."""
    if _largest_cosine(affine) > _MAX_COSINE:
        raise UserError(
            f"cannot write {path}: its grid is sheared ({_format(affine)}), which NIfTI's qform "
            "and ITK cannot store; resample to a grid with right angles first"
        )


def _check_unit(path: Path, header: NibabelHeader) -> None:
    """Refuse a unit of length other than mm; an unknown unit counts as mm."""
    unit = int(header["xyzt_units"]) & 7
    if unit not in (0, 2):
        raise UserError(
            f"{path} says that its unit is {_UNITS.get(unit, f'code {unit}')}, which ITK converts "
            "and nibabel ignores; scale its affine to mm and set xyzt_units to mm",
            code="unit",
        )


def _check_known_codes(path: Path, header: NibabelHeader) -> None:
    """Refuse a code of sform or qform that NIfTI does not define; nibabel ignores such a form."""
    for form in ("sform", "qform"):
        code = int(header[f"{form}_code"])
        if code not in range(_FORM_CODES):
            raise UserError(
                f"{path} has the {form} code {code}; only 0 to {_FORM_CODES - 1} are allowed: set "
                f"it again, with nibabel: image.set_{form}(..., code=1)",
                code="form-code",
            )


def _sform(header: NibabelHeader) -> np.ndarray | None:
    """Return the sform, 4x4, or None if its code is 0."""
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.eye(4)
    affine[:3] = [header[row] for row in ("srow_x", "srow_y", "srow_z")]
    return affine


def _qform(path: Path, header: NibabelHeader) -> np.ndarray | None:
    """Return the qform, 4x4, or None if its code is 0."""
    if int(header["qform_code"]) <= 0:
        return None
    qfac = float(header["pixdim"][0])
    try:
        if qfac == 0:  # the NIfTI standard says that 0 means 1
            header = header.copy()
            header["pixdim"][0] = 1
        return np.asarray(header.get_qform(), dtype=float)
    except (HeaderDataError, ValueError) as error:
        quaternion = [float(header[f"quatern_{k}"]) for k in "bcd"]
        raise UserError(
            f"{path} has a qform that is not a rotation (quaternion {quaternion}, qfac {qfac:g}); "
            "set it again, with nibabel: image.set_qform(image.get_sform(), code=1)",
            code="qform-broken",
        ) from error


def _check_form_codes(path: Path, header: NibabelHeader) -> None:
    """Refuse a header whose sform and qform are both unset."""
    if int(header["sform_code"]) <= 0 and int(header["qform_code"]) <= 0:
        raise UserError(
            f"{path} has neither sform nor qform (both codes are 0), so programs disagree about "
            "its position; set one, with nibabel: image.set_sform(image.affine, code=1)",
            code="forms-missing",
        )


def _check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse an affine that is not finite, is singular or has axes not at right angles."""
    if not np.isfinite(affine).all():
        raise UserError(
            f"{path} has an affine with NaN or Inf ({_format(affine)}); set it again", code="affine"
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if lengths.min() == 0 or abs(np.linalg.det(affine[:3, :3] / np.maximum(lengths, 1e-30))) < 1e-6:
        raise UserError(
            f"{path} has a singular affine ({_format(affine)}); set it again", code="affine"
        )
    cosine = _largest_cosine(affine)
    if cosine > _MAX_COSINE:
        raise UserError(
            f"{path} has a sheared affine (the cosine between two axes is {cosine:.2g}; at most "
            f"{_MAX_COSINE:g} is allowed, as in ITK); resample it to a grid with right angles",
            code="sheared",
        )


def _check_spacing(
    path: Path, header: NibabelHeader, affine: np.ndarray, shape: tuple[int, ...]
) -> None:
    """Refuse a pixdim that is not positive or not the spacing of the affine; ITK uses pixdim."""
    spacing = np.asarray(header["pixdim"][1:4], dtype=float)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        raise UserError(
            f"{path} has the spacing (pixdim) {spacing.tolist()}; each must be above 0 mm: set it "
            "again, with nibabel: image.header.set_zooms(...)",
            code="spacing-not-positive",
        )
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if (np.abs(spacing - lengths) * shape).max() > _TOLERANCE_MM:
        raise UserError(
            f"{path} has the spacing {spacing.tolist()} in pixdim and {lengths.tolist()} in its "
            "sform, and programs use one or the other; set both, with nibabel: "
            "image.set_qform(image.affine, code=1)",
            code="spacing-differs",
        )


def _check_agreement(
    path: Path,
    header: NibabelHeader,
    sform: np.ndarray,
    qform: np.ndarray,
    shape: tuple[int, ...],
) -> None:
    """Refuse an sform and a qform that place a corner of the volume differently.

    The tolerance includes the rounding error of a float32 quaternion. Its first number is the root
    of a difference, so the error grows near half a turn: to 0.5 mm in the worst case, a rotation
    about a distant corner.
    """
    corners = np.array(np.meshgrid(*[[0, n - 1] for n in shape])).reshape(3, -1)
    offsets = (sform - qform)[:3, :3] @ corners + (sform - qform)[:3, 3:]
    reach = float(np.linalg.norm(sform[:3, :3] @ corners, axis=0).max())
    first = float(header.get_qform_quaternion()[0])
    rounding = 2 * reach * _ROUNDING / max(2 * first, math.sqrt(_ROUNDING))
    distance = float(np.linalg.norm(offsets, axis=0).max())
    if not distance <= _TOLERANCE_MM + rounding:  # NaN is refused too
        raise UserError(
            f"{path} has an sform and a qform that disagree by {distance:.4g} mm (at most "
            f"{_TOLERANCE_MM:g} is allowed): sform {_format(sform)}, qform {_format(qform)}; set "
            "both to the right one, with nibabel: image.set_qform(image.get_sform(), code=1), or "
            "the other way round",
            code="forms-differ",
        )


def _largest_cosine(affine: np.ndarray) -> float:
    """Return the largest absolute cosine between two axes of an affine; 0 for right angles."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def _format(affine: np.ndarray) -> str:
    """Return the first three rows of an affine on one line."""
    return "; ".join(" ".join(f"{v:.6g}" for v in row) for row in affine[:3])
