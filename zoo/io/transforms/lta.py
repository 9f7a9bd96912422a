"""Affine transforms of FreeSurfer (.lta).

The matrix of a file maps points of the source, the moving image, to points of the destination, the
fixed image: in voxels (type 0) or in RAS mm (type 1). That of type 14 (register.dat) maps the
other way, from the destination to the source, in the coordinates of tkregister. The coordinates of
tkregister have their origin at the centre of the volume, and their axes are those of a coronal
volume. The origin of a volume is stored as the position of voxel size / 2, not (size - 1) / 2.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.geometry.grid import is_invertible
from zoo.io.atomic import write_text
from zoo.io.files import AnyPath, existing_file, first_bytes
from zoo.io.limits import MAX_LTA_BYTES, check_file_size
from zoo.io.transforms.checks import require_affine

VOXEL, RAS, TKREGISTER = 0, 1, 14
_AXES = ("xras", "yras", "zras")
_NUMBERS = re.compile(r"[-+.eE\d\s]+")
_START = re.compile(rb"\s*(#[^\n]*\n\s*)*type\s*=\s*\d+")


def is_lta(path: Path) -> bool:
    """Return whether a file begins like an .lta: comments, then its type."""
    return _START.match(first_bytes(path, 2000)) is not None


def read_lta(path: AnyPath) -> Transform:
    """Read a file of one affine transform."""
    file = existing_file(path)
    check_file_size(file, MAX_LTA_BYTES, "give a file of one transform")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8; write it again") from error
    lines = [text for line in lines if (text := line.partition("#")[0].strip())]
    header, matrix, volumes = _parts(file, lines)
    if header.get("nxforms", "1") != "1":
        raise UserError(
            f"{file} has {header['nxforms'][:20]} transforms; only one is allowed: store each in a "
            "file of its own, and give them in order (-t A -t B)"
        )
    kind = header.get("type", "")
    if kind == str(RAS):
        return Transform(torch.linalg.inv(matrix))
    if kind not in (str(VOXEL), str(TKREGISTER)):
        raise UserError(
            f"{file} is of type {kind[:20]!r}; allowed are 0 (voxels), 1 (RAS) and 14 "
            "(tkregister): convert it with lta_convert --inlta IN --outlta OUT"
        )
    source, destination = (_grid(file, name, volumes) for name in ("src", "dst"))
    if kind == str(VOXEL):
        return Transform(source.affine @ torch.linalg.inv(matrix) @ destination.inverse)
    to_tkregister = _tkregister(destination) @ destination.inverse
    return Transform(source.affine @ torch.linalg.inv(_tkregister(source)) @ matrix @ to_tkregister)


def write_lta(path: AnyPath, transform: Transform, fixed: Grid | None, moving: Grid | None) -> None:
    """Write an affine transform between RAS coordinates (type 1), with both volumes."""
    matrix = torch.linalg.inv(require_affine(path, transform))
    matrix[3] = torch.tensor([0, 0, 0, 1])
    if fixed is None or moving is None:
        raise UserError(
            f"cannot write {path} without the geometry of its images; give the fixed and the "
            "moving image"
        )
    lines = ["type      = 1 # LINEAR_RAS_TO_RAS", "nxforms   = 1"]
    lines += ["mean      = 0.0000 0.0000 0.0000", "sigma     = 1.0000", "1 4 4"]
    lines += [_numbers(row) for row in matrix.tolist()]
    lines += ["src volume info", *_volume_lines(moving)]
    lines += ["dst volume info", *_volume_lines(fixed)]
    write_text(path, "\n".join(lines) + "\n")


def _parts(
    file: Path, lines: list[str]
) -> tuple[dict[str, str], Tensor, dict[str, dict[str, str]]]:
    """Return the header, the matrix (4x4) and the volumes "src" and "dst" as keys and texts."""
    header: dict[str, str] = {}
    volumes: dict[str, dict[str, str]] = {}
    target = header
    matrix: Tensor | None = None
    rest = iter(lines)
    for line in rest:
        key, equals, text = line.partition("=")
        if line.split() == ["1", "4", "4"] and matrix is None:
            matrix = _matrix(file, [next(rest, "") for _ in range(4)])
        elif line in ("src volume info", "dst volume info"):
            target = volumes.setdefault(line[:3], {})
        elif equals:
            if key.strip() in target:
                raise UserError(f"{file} has {key.strip()[:40]!r} twice; write it again")
            target[key.strip()] = text.strip()
        elif line.split()[0] not in ("subject", "fscale"):
            raise UserError(f"{file}: {line[:40]!r} is not part of an .lta file; write it again")
    if matrix is None:
        raise UserError(f"{file} has no matrix (1 4 4); write it again")
    return header, matrix, volumes


def _matrix(file: Path, lines: list[str]) -> Tensor:
    """Return the matrix in four lines: 4x4, float64."""
    rows = [_floats(file, line, 4) for line in lines]
    matrix = torch.tensor(rows, dtype=torch.float64)
    if rows[3] != [0, 0, 0, 1] or not is_invertible(matrix[:3, :3]):
        raise UserError(
            f"{file}: the matrix {rows} is not an affine transform that can be inverted; write it "
            "again"
        )
    return matrix


def _floats(file: Path, text: str, count: int) -> list[float]:
    """Return `count` finite numbers of a text."""
    try:
        values = [float(word) for word in text.split()] if _NUMBERS.fullmatch(text) else []
    except ValueError:
        values = []
    if len(values) != count or not bool(torch.isfinite(torch.tensor(values)).all()):
        raise UserError(f"{file}: {text[:60]!r} must be {count} numbers; write it again")
    return values


def _grid(file: Path, name: str, volumes: dict[str, dict[str, str]]) -> Grid:
    """Return the grid of the volume "src" or "dst"."""
    volume = volumes.get(name, {})
    if volume.get("valid") != "1":
        raise UserError(
            f"{file} does not describe its {name} volume (valid = 1), which its type needs; "
            "convert it to RAS: lta_convert --inlta IN --outlta OUT --src IMAGE --trg IMAGE"
        )
    missing = [k for k in ("volume", "voxelsize", *_AXES, "cras") if k not in volume]
    if missing:
        raise UserError(f"{file} has no {missing[0]} of its {name} volume; write it again")
    sizes = _floats(file, volume["volume"], 3)
    shape = [int(n) for n in sizes]
    if shape != sizes:
        raise UserError(
            f"{file}: the size {volume['volume'][:60]!r} of its {name} volume must be 3 whole "
            "numbers; write it again"
        )
    spacing = torch.tensor(_floats(file, volume["voxelsize"], 3), dtype=torch.float64)
    axes = [_floats(file, volume[axis], 3) for axis in _AXES]
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] = torch.tensor(axes, dtype=torch.float64).T * spacing
    half = torch.tensor(shape, dtype=torch.float64) / 2
    centre = torch.tensor(_floats(file, volume["cras"], 3), dtype=torch.float64)
    affine[:3, 3] = centre - affine[:3, :3] @ half
    try:
        return Grid((shape[0], shape[1], shape[2]), affine)
    except ValueError as error:
        raise UserError(f"{file}: {error}; write it again") from error


def _tkregister(grid: Grid) -> Tensor:
    """Return the matrix from voxels to the coordinates of tkregister, 4x4."""
    (x, y, z), (nx, ny, nz) = grid.spacing, grid.shape
    return torch.tensor(
        [
            [-x, 0, 0, x * nx / 2],
            [0, 0, z, -z * nz / 2],
            [0, -y, 0, y * ny / 2],
            [0, 0, 0, 1],
        ],
        dtype=torch.float64,
    )


def _volume_lines(grid: Grid) -> list[str]:
    """Return the lines that describe a volume."""
    axes = (grid.linear / torch.tensor(grid.spacing, dtype=torch.float64)).T.tolist()
    half = torch.tensor(grid.shape, dtype=torch.float64) / 2
    centre = grid.linear @ half + grid.affine[:3, 3]
    return [
        "valid = 1  # volume info valid",
        "filename = unknown",
        f"volume = {' '.join(map(str, grid.shape))}",
        f"voxelsize = {_numbers(grid.spacing)}",
        *(f"{name}   = {_numbers(axis)}" for name, axis in zip(_AXES, axes, strict=True)),
        f"cras   = {_numbers(centre.tolist())}",
    ]


def _numbers(values: list[float] | tuple[float, ...]) -> str:
    return " ".join(f"{value:.15e}" for value in values)
