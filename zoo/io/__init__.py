"""Reading and writing of volumes, labels, points and transforms: one module per format.

The names of the package are imported on first use, so that `zoo.io.atomic` and its like do not
load nibabel, h5py and torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.io.images import as_volume
    from zoo.io.labels import read_labels
    from zoo.io.points import read_points, write_points
    from zoo.io.transforms import (
        TransformFormat,
        detect_format,
        read_affine,
        read_transform,
        write_transform,
    )
    from zoo.io.volume import ImageHeader, Volume, read_header, read_volume, write_volume

__all__ = [
    "ImageHeader",
    "TransformFormat",
    "Volume",
    "as_volume",
    "detect_format",
    "read_affine",
    "read_header",
    "read_labels",
    "read_points",
    "read_transform",
    "read_volume",
    "write_points",
    "write_transform",
    "write_volume",
]

_DEFINED_IN = {
    "ImageHeader": "volume",
    "TransformFormat": "transforms",
    "Volume": "volume",
    "as_volume": "images",
    "detect_format": "transforms",
    "read_affine": "transforms",
    "read_header": "volume",
    "read_labels": "labels",
    "read_points": "points",
    "read_transform": "transforms",
    "read_volume": "volume",
    "write_points": "points",
    "write_transform": "transforms",
    "write_volume": "volume",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
