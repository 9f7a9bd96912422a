"""Transforms as DICOM objects: Spatial Registration and Deformable Spatial Registration.

The two objects point in opposite directions. In a Deformable Spatial Registration (PS3.3 C.20.3) a
point of the registered frame of reference, here that of the fixed image, is mapped to the source,
here the moving image: source = post(pre(x) + offset(x)), where the offset belongs to the position x
in the fixed image. That is the direction of a `Transform`. In a Spatial Registration (PS3.3 C.20.2)
the matrix maps points of the source to the registered frame of reference, so it is the inverse of
the transform. Both are in LPS mm.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.atomic import atomic_path
from zoo.io.dicom.headers import read_dataset
from zoo.io.dicom.location import is_dicom_file
from zoo.io.dicom.objects import (
    decimal,
    frame_of_reference,
    image_references,
    new_object,
    refer_to_series,
)
from zoo.io.dicom.series import Series, find_series
from zoo.io.files import AnyPath, damaged_file_error
from zoo.io.limits import check_voxel_count
from zoo.io.lps import flip_affine, flip_field, grid_from_itk, grid_to_itk

SPATIAL = "1.2.840.10008.5.1.4.1.1.66.1"
DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.3"


def is_registration(path: AnyPath) -> bool:
    """Return whether a file is a DICOM registration object."""
    file = Path(path)
    if not is_dicom_file(file):
        return False
    dataset = read_dataset(file, tags=("SOPClassUID",))
    return str(dataset.get("SOPClassUID")) in (SPATIAL, DEFORMABLE)


def write_registration(
    path: AnyPath, transform: Transform, fixed: AnyPath, moving: AnyPath
) -> None:
    """Write a transform between two DICOM series; one with a field is a deformable registration."""
    fixed_series, moving_series = find_series(fixed), find_series(moving)
    deformable = transform.field is not None
    out = new_object(Path(path), DEFORMABLE if deformable else SPATIAL, "REG", fixed_series)
    out.SeriesDescription = "regzoo registration"
    out.ContentLabel, out.ContentCreatorName = "REGISTRATION", ""
    out.ContentDescription = "fixed: registered frame of reference; moving: source"
    if deformable:
        out.DeformableRegistrationSequence = [_deformable_item(transform, moving_series)]
    else:
        to_fixed = torch.linalg.inv(transform.affine)
        identity = torch.eye(4, dtype=torch.float64)
        out.RegistrationSequence = [
            _matrix_item(fixed_series, identity),
            _matrix_item(moving_series, to_fixed),
        ]
    refer_to_series(out, [fixed_series, moving_series])
    with atomic_path(path) as temporary:
        out.save_as(temporary, enforce_file_format=True)


def read_registration(path: AnyPath) -> Transform:
    """Read a registration object as the transform from its registered to its source frame."""
    file = Path(path)
    dataset = read_dataset(file)
    try:
        if str(dataset.SOPClassUID) == DEFORMABLE:
            return _read_deformable(file, dataset)
        return _read_spatial(file, dataset)
    except UserError:
        raise
    except Exception as error:  # pydicom converts values on access
        raise damaged_file_error(file, f"{type(error).__name__}: {error}") from error


def _deformable_item(transform: Transform, moving: Series) -> Any:
    """Return the item that maps the fixed frame of reference to that of the moving series."""
    item = _dataset()
    item.SourceFrameOfReferenceUID = frame_of_reference(moving)
    item.ReferencedImageSequence = image_references(moving.files)
    item.RegistrationTypeCodeSequence = []
    item.PreDeformationMatrixRegistrationSequence = [_matrix(torch.eye(4, dtype=torch.float64))]
    item.PostDeformationMatrixRegistrationSequence = [_matrix(transform.affine)]
    field, axes = _right_handed(transform)
    origin, spacing, direction = grid_to_itk(axes)
    grid = _dataset()
    grid.ImageOrientationPatient = [decimal(v) for v in direction[:, :2].T.ravel()]
    grid.ImagePositionPatient = [decimal(v) for v in origin]
    grid.GridDimensions = list(axes.shape)
    grid.GridResolution = spacing.tolist()
    vectors = flip_field(field.detach().cpu()).float()
    grid.VectorGridData = vectors.permute(3, 2, 1, 0).contiguous().numpy().astype("<f4").tobytes()
    item.DeformableRegistrationGridSequence = [grid]
    return item


def _right_handed(transform: Transform) -> tuple[Tensor, Grid]:
    """Return the field on a grid whose third axis is the cross product of the others."""
    field, grid = transform.field, transform.grid
    assert field is not None
    assert grid is not None
    if float(torch.linalg.det(grid.linear)) > 0:
        return field, grid
    flip = torch.eye(4, dtype=torch.float64)
    flip[2, 2], flip[2, 3] = -1, grid.shape[2] - 1
    return field.flip(3), Grid(grid.shape, grid.affine @ flip)


def _matrix_item(series: Series, to_registered: Tensor) -> Any:
    """Return the item of a Spatial Registration for one series."""
    item, registration = _dataset(), _dataset()
    item.FrameOfReferenceUID = frame_of_reference(series)
    item.ReferencedImageSequence = image_references(series.files)
    registration.RegistrationTypeCodeSequence = []
    registration.MatrixSequence = [_matrix(to_registered)]
    item.MatrixRegistrationSequence = [registration]
    return item


def _matrix(affine: Tensor) -> Any:
    """Return the item of a matrix, given in RAS mm."""
    item = _dataset()
    linear = affine[:3, :3]
    gram = linear.T @ linear
    same_lengths = float((gram - torch.eye(3, dtype=torch.float64)).abs().max()) < 1e-6
    rigid = same_lengths and float(torch.linalg.det(linear)) > 0  # a mirror image is no rotation
    item.FrameOfReferenceTransformationMatrixType = "RIGID" if rigid else "AFFINE"
    lps = flip_affine(affine).flatten().tolist()
    item.FrameOfReferenceTransformationMatrix = [decimal(v) for v in lps]
    return item


def _dataset() -> Any:
    return importlib.import_module("pydicom.dataset").Dataset()


def _read_deformable(path: Path, dataset: Any) -> Transform:
    items = [
        item
        for item in dataset.DeformableRegistrationSequence
        if item.get("DeformableRegistrationGridSequence")
    ]
    if len(items) != 1:
        raise UserError(
            f"{path} has {len(items)} deformation grids; one is needed: export one registration"
        )
    (item,) = items
    pre = _read_matrices(path, item.get("PreDeformationMatrixRegistrationSequence") or [])
    post = _read_matrices(path, item.get("PostDeformationMatrixRegistrationSequence") or [])
    stored = item.DeformableRegistrationGridSequence[0]
    x, y, z = (int(n) for n in stored.GridDimensions)
    check_voxel_count(path, (x, y, z), x * y * z)
    raw = bytes(stored.VectorGridData)
    if min(x, y, z) < 1 or len(raw) != x * y * z * 12:
        raise damaged_file_error(path, f"its grid {(x, y, z)} has {len(raw)} bytes of vectors")
    vectors = torch.from_numpy(np.frombuffer(raw, "<f4").astype(np.float32).reshape(z, y, x, 3))
    if not bool(torch.isfinite(vectors).all()):
        raise UserError(f"{path} has vectors that are not finite; export the registration again")
    rows, columns = np.array(stored.ImageOrientationPatient, float).reshape(2, 3)
    direction = np.column_stack([rows, columns, np.cross(rows, columns)])
    origin = np.array(stored.ImagePositionPatient, float)
    grid = grid_from_itk((x, y, z), origin, np.array(stored.GridResolution, float), direction)
    field = flip_field(vectors.permute(3, 2, 1, 0)).contiguous()
    linear = torch.linalg.inv(pre)[:3, :3].float()
    return Transform(post @ pre, torch.einsum("kj,jxyz->kxyz", linear, field), grid)


def _read_spatial(path: Path, dataset: Any) -> Transform:
    matrices = [
        (
            str(item.get("FrameOfReferenceUID")),
            _read_matrices(
                path, [m for r in item.MatrixRegistrationSequence for m in r.MatrixSequence]
            ),
        )
        for item in dataset.RegistrationSequence
    ]
    own, identity = str(dataset.get("FrameOfReferenceUID")), torch.eye(4, dtype=torch.float64)
    moved = [(uid, m) for uid, m in matrices if uid != own or not torch.equal(m, identity)]
    if len(moved) > 1:
        raise UserError(
            f"{path} registers {len(moved)} frames of reference to one; one is needed: export one "
            "registration"
        )
    return Transform(torch.linalg.inv(moved[0][1]) if moved else identity)


def _read_matrices(path: Path, items: Sequence[Any]) -> Tensor:
    """Return the product of matrices, of which the first is applied first: 4x4, RAS mm."""
    product = torch.eye(4, dtype=torch.float64)
    for item in items:
        values = [float(v) for v in item.FrameOfReferenceTransformationMatrix]
        matrix = torch.tensor(values, dtype=torch.float64)
        if len(values) != 16 or not bool(torch.isfinite(matrix).all()):
            raise damaged_file_error(path, f"a matrix has the values {values[:16]}")
        product = matrix.reshape(4, 4) @ product
    if abs(float(torch.linalg.det(product[:3, :3]))) < 1e-9:
        raise damaged_file_error(path, "its matrix cannot be inverted")
    return flip_affine(product)
