"""The header of one image of a dataset: facts in plain values, and every problem it shows."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from zoo.datasets.names import SUFFIXES
from zoo.datasets.problems import Problem, problem_of, warning
from zoo.errors import UserError
from zoo.io.files import is_gzip
from zoo.io.itk import image as itk_image
from zoo.io.nifti import NiftiFile, open_nifti
from zoo.io.nifti_affine import affine_and_errors
from zoo.io.volume import read_header

SPACING_MM = (0.05, 20.0)
FIELD_MM = (20.0, 2500.0)
"""What a voxel and a field of view of a person can be."""

_NEVER = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".npy", ".npz", ".joblib", ".mat")


@dataclass(frozen=True)
class HeaderFacts:
    """`affine` (4x4, rows) maps voxels to RAS+ mm; `digest` is of path, size, time and header."""

    name: str
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    dtype: str
    scaling: tuple[float, float] = (1.0, 0.0)
    description: str = ""
    digest: str = ""
    suspect: bool = field(default=False, compare=False)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Length of a voxel's sides along the array axes, mm."""
        x, y, z = np.linalg.norm(np.array(self.affine)[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def field_mm(self) -> tuple[float, float, float]:
        """Field of view along the array axes, mm."""
        x, y, z = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return x, y, z

    @property
    def anisotropy(self) -> float:
        """The longest side of a voxel over the shortest."""
        return max(self.spacing) / min(self.spacing)

    @property
    def voxels(self) -> int:
        """How many voxels there are."""
        return math.prod(self.shape)

    @property
    def axes(self) -> str:
        """Where the array axes point, such as LPS."""
        return "".join(str(c) for c in nib.orientations.aff2axcodes(np.array(self.affine)))

    def same_grid(self, other: HeaderFacts, tolerance: float = 0.1) -> bool:
        """Say whether both have one shape and no corner lies more than `tolerance` mm apart."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[[0, n - 1] for n in self.shape])).reshape(3, -1)
        apart = np.array(self.affine) - np.array(other.affine)
        distance = np.linalg.norm(apart[:3, :3] @ corners + apart[:3, 3:], axis=0)
        return float(distance.max()) <= tolerance


def look_at(root: Path, name: str) -> tuple[HeaderFacts | None, list[Problem]]:
    """Return what a file's header says (None if it cannot be used) and what is wrong with it."""
    path = root / name
    if not name.lower().endswith(SUFFIXES):
        what = "the format is not one of a volume"
        if name.lower().endswith(_NEVER):
            what = "the format can hold programs or has no place in space, and is never opened"
        return None, [Problem("format", name, what, "save the image as .nii.gz")]
    try:
        if itk_image.is_itk_image(path):
            found = read_header(path)
            affine = found.grid.affine.numpy()
            header = _header(root, name, found.grid.shape, affine, found.dtype, b"")
            return header, _size_problems(header)
        return _look_at_nifti(root, name)
    except (UserError, OSError, ValueError, OverflowError) as error:
        return None, [problem_of(error, name, str(path))]


def _look_at_nifti(root: Path, name: str) -> tuple[HeaderFacts | None, list[Problem]]:
    path = root / name
    nifti = open_nifti(path)
    if shape_problem := _shape_problem(name, nifti.shape):
        return None, [shape_problem]
    affine, faults = affine_and_errors(path, nifti.header, nifti.shape)
    problems = [problem_of(error, name, str(path)) for error in faults]
    if affine is None or any(p.id == "affine" for p in problems):
        return None, problems
    raw = bytes(nifti.header.binaryblock)
    shape = nifti.shape[:3]
    description = bytes(nifti.header["descrip"].tobytes()).partition(b"\0")[0].decode("latin-1")
    slope, intercept = (float(nifti.header[k]) for k in ("scl_slope", "scl_inter"))
    if math.isnan(slope) or slope == 0:
        slope, intercept = 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        what = f"voxels are scaled by {slope:g} plus {intercept:g}"
        problems.append(Problem("scaling", name, what, "correct scl_slope and scl_inter"))
        return None, problems
    header = _header(
        root,
        name,
        (shape[0], shape[1], shape[2]),
        affine,
        nifti.dtype.name,
        raw,
        scaling=(slope, intercept),
        description=description,
        suspect=_ends_early(nifti),
    )
    return header, problems + _size_problems(header)


def _header(
    root: Path,
    name: str,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    dtype: str,
    raw: bytes,
    *,
    scaling: tuple[float, float] = (1.0, 0.0),
    description: str = "",
    suspect: bool = False,
) -> HeaderFacts:
    state = (root / name).stat()
    text = f"{name} {state.st_size} {state.st_mtime_ns}".encode()
    return HeaderFacts(
        name=name,
        shape=shape,
        affine=tuple(tuple(row) for row in affine.tolist()),
        dtype=dtype,
        scaling=scaling,
        description=description,
        digest=hashlib.sha256(text + raw).hexdigest(),
        suspect=suspect,
    )


def _shape_problem(name: str, shape: tuple[int, ...]) -> Problem | None:
    if len(shape) == 5 and shape[3] == 1 and shape[4] > 1:
        fix = "list the image itself"
        return Problem("vector-field", name, f"shape {shape} is that of a vector field", fix)
    if len(shape) > 3 and max(shape[3:]) > 1:
        fix = "save the one volume you want to a file of its own"
        return Problem("several-volumes", name, f"shape {shape} is of several volumes", fix)
    if len(shape) < 3 or min(shape[:3]) < 2:
        fix = "give a volume with at least two voxels along each of three axes"
        return Problem("not-3d", name, f"shape {shape} is not three-dimensional", fix)
    return None


def _size_problems(header: HeaderFacts) -> list[Problem]:
    """Return what no person's image has: voxels or fields of view of impossible size."""
    out = []
    spacing, extent = header.spacing, header.field_mm
    if min(spacing) < SPACING_MM[0] or max(spacing) > SPACING_MM[1]:
        what = f"a voxel is {_mm(spacing)}; {SPACING_MM[0]:g} to {SPACING_MM[1]:g} mm is usual"
        out.append(Problem("spacing", header.name, what, "correct the header, or scale to mm"))
    if min(extent) < FIELD_MM[0] or max(extent) > FIELD_MM[1]:
        what = f"the field of view is {_mm(extent)}; {FIELD_MM[0]:g} to {FIELD_MM[1]:g} mm is usual"
        fix = "correct the spacing, or leave the image out"
        out.append(warning("field-of-view", header.name, what, fix))
    return out


def _ends_early(nifti: NiftiFile) -> bool:
    """Say whether the length at the end of a gzip file is not that of the volume.

    Some compressors write several streams, the last one empty: such a file is only decoded to see.
    """
    if not is_gzip(nifti.path):
        return False
    promised = int(nifti.header["vox_offset"]) + math.prod(nifti.shape) * nifti.dtype.itemsize
    with nifti.path.open("rb") as stream:
        stream.seek(-4, 2)
        return int.from_bytes(stream.read(4), "little") != promised % (1 << 32)


def _mm(values: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values) + " mm"
