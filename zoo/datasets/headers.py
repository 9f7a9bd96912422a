"""The header of one image of a dataset: its facts as plain values, and its problems."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np

from zoo.datasets.names import SUFFIXES
from zoo.datasets.problems import Problem, problem_from_error, warning
from zoo.errors import UserError
from zoo.io.dicom.location import is_dicom
from zoo.io.files import is_gzip
from zoo.io.itk import image as itk_image
from zoo.io.nifti import NiftiFile, open_nifti
from zoo.io.nifti_affine import affine_and_errors
from zoo.io.volume import read_header

SPACING_MM = (0.05, 20.0)
"""Plausible side lengths of a voxel, mm."""

FIELD_MM = (20.0, 2500.0)
"""Plausible fields of view of an image of a person along one axis, mm."""

DICOM_SLICES = "dicom-slices"
"""The id of a warning about the slices of a DICOM series."""

_UNSAFE_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".npy", ".npz", ".joblib", ".mat")


@dataclass(frozen=True)
class HeaderFacts:
    """The contents of an image's header.

    `affine` (rows of a 4x4 matrix) maps voxels to RAS+ mm. `scaling` is (slope, intercept) of the
    stored values. `digest` covers the name, size, modification time and header of the file.
    `length_mismatch` marks a compressed file whose length contradicts its header. A DICOM header
    gives `modality`, `body_part` and `patient`, which is only compared and never written.
    """

    name: str
    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    dtype: str
    scaling: tuple[float, float] = (1.0, 0.0)
    description: str = ""
    digest: str = ""
    length_mismatch: bool = field(default=False, compare=False)
    modality: str = ""
    body_part: str = ""
    patient: str = field(default="", repr=False)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """The side lengths of a voxel along the array axes, mm."""
        x, y, z = np.linalg.norm(np.array(self.affine)[:3, :3], axis=0).tolist()
        return x, y, z

    @property
    def field_mm(self) -> tuple[float, float, float]:
        """The field of view along the array axes, mm."""
        x, y, z = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return x, y, z

    @property
    def anisotropy(self) -> float:
        """The ratio of the longest to the shortest side of a voxel."""
        return max(self.spacing) / min(self.spacing)

    @property
    def voxels(self) -> int:
        """The number of voxels."""
        return math.prod(self.shape)

    @property
    def axes(self) -> str:
        """The directions in which the array axes point, such as LPS."""
        return "".join(str(c) for c in nib.orientations.aff2axcodes(np.array(self.affine)))

    def same_grid(self, other: HeaderFacts, tolerance: float = 0.1) -> bool:
        """Return whether the shapes are equal and all corners coincide within `tolerance` mm."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[[0, n - 1] for n in self.shape])).reshape(3, -1)
        apart = np.array(self.affine) - np.array(other.affine)
        distance = np.linalg.norm(apart[:3, :3] @ corners + apart[:3, 3:], axis=0)
        return float(distance.max()) <= tolerance


def inspect_header(
    root: Path, name: str, volume: int | None = None
) -> tuple[HeaderFacts | None, list[Problem]]:
    """Return the facts of the header of `root / name`, None if it is unusable, and its problems.

    `volume` chooses one volume of a 4-D file.
    """
    path = root / name
    if is_dicom(path):
        return _inspect_dicom(root, name, volume)
    if not name.lower().endswith(SUFFIXES):
        what = "the format is not that of a volume"
        if path.is_dir():
            what = "the folder contains no DICOM image"
            advice = "give a volume file or a folder with a DICOM series"
            return None, [Problem("format", name, what, advice)]
        if name.lower().endswith(_UNSAFE_SUFFIXES):
            what = "the format can contain code or has no world coordinates, so it is never opened"
        return None, [Problem("format", name, what, "save the image as .nii.gz")]
    try:
        if itk_image.is_itk_image(path):
            image = read_header(path)
            affine = image.grid.affine.numpy()
            header = _header_facts(root, name, image.grid.shape, affine, image.dtype, b"")
            return header, _size_problems(header)
        return _inspect_nifti(root, name, volume)
    except (UserError, OSError, ValueError, OverflowError) as error:
        return None, [problem_from_error(error, name, str(path))]


def _inspect_dicom(
    root: Path, name: str, volume: int | None
) -> tuple[HeaderFacts | None, list[Problem]]:
    """Do the work of `inspect_header` for a DICOM series."""
    from zoo.io.dicom.image import read_dicom_header

    path = root / name
    try:
        image = read_dicom_header(path, volume)
        states = [file.stat() for file in image.files]
    except (UserError, OSError, ValueError, OverflowError) as error:
        return None, [problem_from_error(error, name, str(path))]
    header = HeaderFacts(
        name=name,
        shape=image.grid.shape,
        affine=tuple(tuple(row) for row in image.grid.affine.tolist()),
        dtype=image.dtype,
        digest=hashlib.sha256(
            f"{name} {[(s.st_size, s.st_mtime_ns) for s in states]}".encode()
        ).hexdigest(),
        modality=image.modality,
        body_part=image.body_part,
        patient=image.patient,
    )
    fix = "check the series"
    problems = [warning(DICOM_SLICES, name, text, fix) for text in image.warnings]
    return header, problems + _size_problems(header)


def _inspect_nifti(
    root: Path, name: str, volume: int | None
) -> tuple[HeaderFacts | None, list[Problem]]:
    """Do the work of `inspect_header` for a NIfTI file."""
    path = root / name
    nifti = open_nifti(path)
    if volume is not None and len(nifti.shape) == 4 and nifti.shape[3] > 1:
        number = nifti.shape[3]
        if not 0 <= volume < number:
            what = f"it has {number} volumes, so volume {volume} does not exist"
            return None, [Problem("several-volumes", name, what, f"use 0 to {number - 1}")]
        nifti = nifti.volume(volume)
    if shape_problem := _shape_problem(name, nifti.shape):
        return None, [shape_problem]
    affine, faults = affine_and_errors(path, nifti.header, nifti.shape)
    problems = [problem_from_error(error, name, str(path)) for error in faults]
    if affine is None or any(p.id == "affine" for p in problems):
        return None, problems
    raw = bytes(nifti.header.binaryblock)
    shape = nifti.shape[:3]
    description = bytes(nifti.header["descrip"].tobytes()).partition(b"\0")[0].decode("latin-1")
    slope, intercept = (float(nifti.header[k]) for k in ("scl_slope", "scl_inter"))
    if math.isnan(slope) or slope == 0:
        slope, intercept = 1.0, 0.0
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        what = f"the header scales the voxels by {slope:g} and adds {intercept:g}"
        problems.append(
            Problem("scaling", name, what, "correct scl_slope and scl_inter, which must be finite")
        )
        return None, problems
    header = _header_facts(
        root,
        name,
        (shape[0], shape[1], shape[2]),
        affine,
        nifti.dtype.name,
        raw,
        scaling=(slope, intercept),
        description=description,
        length_mismatch=_length_mismatch(nifti),
    )
    return header, problems + _size_problems(header)


def _header_facts(
    root: Path,
    name: str,
    shape: tuple[int, int, int],
    affine: np.ndarray,
    dtype: str,
    raw: bytes,
    *,
    scaling: tuple[float, float] = (1.0, 0.0),
    description: str = "",
    length_mismatch: bool = False,
) -> HeaderFacts:
    """Return the facts of a header; `raw` are its bytes, for the digest."""
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
        length_mismatch=length_mismatch,
    )


def _shape_problem(name: str, shape: tuple[int, ...]) -> Problem | None:
    """Return why an array of this shape is not a single volume."""
    if len(shape) == 5 and shape[3] == 1 and shape[4] > 1:
        fix = "list an image, not a transform"
        return Problem("vector-field", name, f"the shape {shape} is that of a vector field", fix)
    if len(shape) > 3 and max(shape[3:]) > 1:
        fix = "save one of them to a file of its own, or register one with --volume"
        return Problem(
            "several-volumes", name, f"the shape {shape} is that of several volumes", fix
        )
    if len(shape) < 3 or min(shape[:3]) < 2:
        fix = "give a volume with at least two voxels along each of three axes"
        return Problem("not-3d", name, f"the shape {shape} is not three-dimensional", fix)
    return None


def _size_problems(header: HeaderFacts) -> list[Problem]:
    """Return a problem for a voxel size or a field of view that is implausible for a person."""
    problems = []
    spacing, extent = header.spacing, header.field_mm
    if min(spacing) < SPACING_MM[0] or max(spacing) > SPACING_MM[1]:
        what = (
            f"the voxel size is {_mm(spacing)}; expected are {SPACING_MM[0]:g} to "
            f"{SPACING_MM[1]:g} mm per side"
        )
        fix = "correct the header, or convert it to mm"
        problems.append(Problem("spacing", header.name, what, fix))
    if min(extent) < FIELD_MM[0] or max(extent) > FIELD_MM[1]:
        what = (
            f"the field of view is {_mm(extent)}; expected are {FIELD_MM[0]:g} to "
            f"{FIELD_MM[1]:g} mm per side"
        )
        fix = "correct the spacing, or leave the image out"
        problems.append(warning("field-of-view", header.name, what, fix))
    return problems


def _length_mismatch(nifti: NiftiFile) -> bool:
    """Return whether the length recorded at the end of a gzip file is not that of the volume.

    This is not yet an error: some compressors write several streams, of which the last is empty.
    Only decoding the file shows whether it is complete.
    """
    if not is_gzip(nifti.path):
        return False
    voxels = nifti.first + math.prod(nifti.shape) + nifti.rest
    expected = int(nifti.header["vox_offset"]) + voxels * nifti.dtype.itemsize
    with nifti.path.open("rb") as stream:
        stream.seek(-4, 2)
        return int.from_bytes(stream.read(4), "little") != expected % (1 << 32)


def _mm(values: tuple[float, float, float]) -> str:
    return " x ".join(f"{value:.4g}" for value in values) + " mm"
