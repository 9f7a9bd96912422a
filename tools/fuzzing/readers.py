"""The reader of every kind of file, with checks of what it returns.

A reader returns a short description of an accepted file, or raises UserError. `WrongAcceptance`
says that a value was returned that no reader may return, or that another library reads differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch
from safetensors import safe_open

from zoo.datasets.reading import read_dataset
from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.hub.weights_header import read_weights_header
from zoo.io.json_documents import read_json_object
from zoo.io.points import read_point_document, read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_header, read_volume
from zoo.io.yaml_documents import parse_yaml

GRID = Grid.from_spacing((5, 6, 7), (2, 2.5, 3))


class WrongAcceptance(Exception):  # noqa: N818  (it is a finding)
    """A damaged file was accepted with a wrong value."""


def check_volume(path: Path) -> str:
    """Read a volume; compare its shape, affine and voxels with nibabel."""
    header, volume = read_header(path), read_volume(path)
    _require(header.grid.shape == volume.grid.shape, "header and volume differ")
    _check_grid(volume.grid)
    _check_finite(volume.data)
    theirs: Any = nib.load(path)
    data = np.asarray(theirs.dataobj).reshape(volume.grid.shape)
    _require(np.array_equal(volume.grid.affine.numpy(), theirs.affine), "nibabel's affine differs")
    scale = max(1.0, float(np.abs(data.astype(float)).max()))
    same = np.allclose(volume.data.numpy(), data, rtol=1e-5, atol=1e-5 * scale)
    _require(same, "nibabel's voxels differ")
    return volume.grid.describe()


def check_itk_volume(path: Path) -> str:
    """Read a MetaImage or NRRD volume; compare its shape and voxels with SimpleITK."""
    header, volume = read_header(path), read_volume(path)
    _require(header.grid.shape == volume.grid.shape, "header and volume differ")
    _check_grid(volume.grid)
    _check_finite(volume.data)
    kind = "NrrdImageIO" if path.suffix == ".nrrd" else "MetaImageIO"
    if path.name == "packed.mha":  # SimpleITK does not notice damaged data
        return volume.grid.describe()
    theirs = sitk.ReadImage(str(path), imageIO=kind)
    _require(tuple(theirs.GetSize()) == volume.grid.shape, "SimpleITK's size differs")
    data = sitk.GetArrayViewFromImage(theirs).transpose(2, 1, 0)
    _require(np.array_equal(volume.data.numpy(), data), "SimpleITK's voxels differ")
    return volume.grid.describe()


def check_transform(path: Path) -> str:
    """Read a transform in any format."""
    transform = read_transform(path, GRID, GRID)
    _check_affine(transform.affine)
    if transform.field is not None and transform.grid is not None:
        _check_grid(transform.grid)
        _check_finite(transform.field)
        _require(tuple(transform.field.shape) == (3, *transform.grid.shape), "shape of the field")
    return type(transform).__name__ + ("" if transform.field is None else " with a field")


def check_points(path: Path) -> str:
    """Read points."""
    points = read_points(path, "lps")
    _check_finite(points)
    document = read_point_document(path)
    _require(len(document.render(document.points)) > 0, "an empty file is written back")
    _require(points.ndim == 2 and points.shape[1] == 3 and len(points) > 0, "shape of the points")
    return f"{len(points)} points"


def check_dataset(path: Path) -> str:
    """Read a dataset and list its pairs; none of its files is opened."""
    dataset = read_dataset(path)
    json.dumps([dataset.files, [str(problem) for problem in dataset.problems]])
    root = path.parent.resolve()
    for name in dataset.files:
        inside = (root / name).resolve().is_relative_to(root)
        _require(inside or any(p.level == "error" for p in dataset.problems), f"path {name!r}")
    return f"{len(dataset.named_pairs)} pairs"


def check_json(path: Path) -> str:
    """Read a JSON object and, if it is one, the dataset that it describes."""
    value = read_json_object(path)
    _check_plain(value)
    return check_dataset(path)


def parse_yaml_file(path: Path) -> Any:
    """Parse a YAML file; its ValueError becomes a UserError, as in the callers of parse_yaml."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def check_yaml(path: Path) -> str:
    """Parse YAML and check that its values are plain."""
    value = parse_yaml_file(path)
    _check_plain(value)
    return type(value).__name__


def check_weights(path: Path) -> str:
    """Read the header of weights; what is accepted must be readable with the library."""
    header = read_weights_header(path)
    header.width(), header.size(), header.recolour()
    with safe_open(path, "np") as file:
        names = list(file.keys())
        _require(set(names) == set(header.shapes), "names of the tensors")
        for name in names:
            shape = tuple(file.get_slice(name).get_shape())
            _require(shape == header.shapes[name], f"shape of {name!r}")
    return f"{len(names)} tensors"


READERS: dict[str, Callable[[Path], str]] = {
    "volume.nii": check_volume,
    "floats.nii": check_volume,
    "volume.nii.gz": check_volume,
    "volume.mha": check_itk_volume,
    "packed.mha": check_itk_volume,
    "volume.nrrd": check_itk_volume,
    "field.nii": check_transform,
    "field.nii.gz": check_transform,
    "transform.h5": check_transform,
    "transform.tfm": check_transform,
    "transform.mat": check_transform,
    "field.npz": check_transform,
    "points.csv": check_points,
    "points.fcsv": check_points,
    "points.mrk.json": check_points,
    "points.vtk": check_points,
    "points.vtp": check_points,
    "transform.lta": check_transform,
    "transform.x5": check_transform,
    "pairs.csv": check_dataset,
    "dataset.json": check_json,
    "settings.yaml": check_yaml,
    "weights.safetensors": check_weights,
}
"""By the name of a sample: its reader."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise WrongAcceptance(what)


def _check_grid(grid: Grid) -> None:
    _check_affine(grid.affine)
    _require(min(grid.shape) >= 1, f"the shape {grid.shape}")


def _check_affine(affine: torch.Tensor) -> None:
    finite = bool(torch.isfinite(affine).all())
    _require(finite and torch.linalg.det(affine[:3, :3]) != 0, f"the affine {affine.tolist()}")


def _check_finite(data: torch.Tensor) -> None:
    _require(bool(torch.isfinite(data.double()).all()), "values that are not finite")


def _check_plain(value: Any) -> None:
    """Check that a parsed value contains no NaN and no Inf and can be written as JSON."""
    try:
        json.dumps(value, default=str, allow_nan=False)
    except ValueError as error:
        raise WrongAcceptance(str(error)) from error
