"""Affine transforms as four rows of four numbers: those of FSL and those in world coordinates.

FSL's flirt maps points of the moving image to points of the fixed image. Both are in mm from the
corner voxel along the array axes; if the affine of an image has a positive determinant, its x axis
runs from the last voxel to the first. The matrices of greedy, c3d and NiftyReg look the same, but
map points of the fixed image to points of the moving image in RAS mm. Nothing in a file tells the
two kinds apart, so the caller names the kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.geometry.grid import is_invertible
from zoo.io.atomic import write_text
from zoo.io.files import AnyPath, existing_file, first_bytes
from zoo.io.limits import MAX_TEXT_MATRIX_BYTES, check_file_size
from zoo.io.transforms.checks import require_affine

MatrixKind = Literal["fsl", "world"]


def is_text_matrix(file: Path) -> bool:
    """Return whether a file consists of four rows of four numbers."""
    try:
        _rows(first_bytes(file, MAX_TEXT_MATRIX_BYTES).decode("ascii"))
    except ValueError:
        return False
    return True


def read_matrix(
    path: AnyPath, kind: MatrixKind, fixed: Grid | None = None, moving: Grid | None = None
) -> Transform:
    """Read a matrix of a kind; one of FSL needs the grids of the fixed and the moving image."""
    file = existing_file(path)
    check_file_size(file, MAX_TEXT_MATRIX_BYTES, "give one matrix of four rows and four columns")
    try:
        matrix = torch.tensor(_rows(file.read_text(encoding="ascii")), dtype=torch.float64)
    except ValueError as error:
        raise UserError(f"{file} is not a matrix of four rows of four numbers ({error})") from None
    is_affine = matrix[3].tolist() == [0, 0, 0, 1] and bool(torch.isfinite(matrix).all())
    if not (is_affine and is_invertible(matrix[:3, :3])):
        raise UserError(
            f"{file}: the matrix {matrix.tolist()} is not an affine transform that can be "
            "inverted; write it again"
        )
    if kind == "world":
        return Transform(matrix)
    fixed, moving = _both(file, "read", fixed, moving)
    return Transform(torch.linalg.inv(_to_fsl(moving)) @ torch.linalg.inv(matrix) @ _to_fsl(fixed))


def write_matrix(
    path: AnyPath,
    transform: Transform,
    kind: MatrixKind,
    fixed: Grid | None = None,
    moving: Grid | None = None,
) -> None:
    """Write an affine transform as a matrix of a kind; one of FSL needs both grids."""
    matrix = require_affine(path, transform)
    if kind == "fsl":
        fixed, moving = _both(path, "write", fixed, moving)
        matrix = _to_fsl(fixed) @ torch.linalg.inv(matrix) @ torch.linalg.inv(_to_fsl(moving))
        matrix[3] = torch.tensor([0, 0, 0, 1])
    lines = ["  ".join(f"{value:.10f}" for value in row) for row in matrix.tolist()]
    write_text(path, "\n".join(lines) + "\n")


def _rows(text: str) -> list[list[float]]:
    """Return the numbers of a text of four rows of four numbers; ValueError says what it is not."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if "_" in text or [len(line) for line in lines] != [4] * 4:
        raise ValueError(f"it has {len(lines)} rows, or a row has not four numbers")
    return [[float(word) for word in line] for line in lines]


def _both(path: AnyPath, doing: str, fixed: Grid | None, moving: Grid | None) -> tuple[Grid, Grid]:
    if fixed is None or moving is None:
        raise UserError(
            f"cannot {doing} the FSL matrix {path} without its images, which define its "
            "coordinates; give the fixed image (flirt -ref) and the moving image (flirt -in)"
        )
    return fixed, moving


def _to_fsl(grid: Grid) -> Tensor:
    """Return the matrix from RAS mm to the coordinates of FSL, 4x4."""
    scale = torch.diag(torch.tensor([*grid.spacing, 1.0], dtype=torch.float64))
    if float(torch.linalg.det(grid.linear)) > 0:
        scale[0, 0] = -grid.spacing[0]
        scale[0, 3] = (grid.shape[0] - 1) * grid.spacing[0]
    return scale @ grid.inverse
