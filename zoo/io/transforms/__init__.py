"""Reading and writing of transforms: one module per format that ITK does not define."""

from zoo.io.transforms.formats import (
    TRANSFORM_SUFFIXES,
    TransformFormat,
    detect_format,
    read_affine,
    read_transform,
    write_transform,
)
from zoo.io.transforms.names import NamedTransform, parse_name, read_chain

__all__ = [
    "TRANSFORM_SUFFIXES",
    "NamedTransform",
    "TransformFormat",
    "detect_format",
    "parse_name",
    "read_affine",
    "read_chain",
    "read_transform",
    "write_transform",
]
