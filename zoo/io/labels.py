"""Reading of label maps, which are volumes of whole numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import UserError
from zoo.io.files import AnyPath
from zoo.io.volume import Volume, read_volume

_TYPES = (torch.uint8, torch.int16, torch.int32, torch.int64)


def read_labels(path: AnyPath, index: int | None = None) -> Volume:
    """Read a label map as the smallest of uint8, int16, int32 and int64 that can hold its labels.

    Files of floating-point numbers are accepted if every value is a whole number. `index` chooses
    one volume of a 4-D file.
    """
    volume = read_volume(path, index)
    data = volume.data
    if data.is_floating_point():
        fractions = torch.nonzero(data != data.round())
        if len(fractions):
            first = tuple(fractions[0].tolist())
            raise UserError(
                f"{path} is not a label map: {len(fractions)} of {data.numel()} values are not "
                f"whole numbers (the first is {float(data[first]):g} at voxel {first}); give "
                "labels, and resample them with nearest-neighbour interpolation",
                code="labels-not-whole",
            )
    try:
        return Volume(smallest_type(data), volume.grid, volume.path)
    except ValueError as error:
        raise UserError(f"{path} {error}") from None


def smallest_type(labels: Tensor) -> Tensor:
    """Return whole numbers as the smallest of uint8, int16, int32 and int64 that holds them."""
    low, high = float(labels.min()), float(labels.max())
    for dtype in _TYPES:
        if torch.iinfo(dtype).min <= low and high <= torch.iinfo(dtype).max:
            return labels.to(dtype)
    raise ValueError(f"has labels from {low:g} to {high:g}; they must fit into 64 bits")
