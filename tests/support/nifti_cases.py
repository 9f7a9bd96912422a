"""NIfTI files byte by byte, with headers and extensions that nibabel would not write."""

import struct

import nibabel as nib
import numpy as np


def nifti_bytes(data, *, kind=nib.Nifti1Image, order="<", extensions=b"", **fields):
    """Return an uncompressed file, with header fields that nibabel would refuse."""
    header = kind.header_class(endianness=order)
    header.set_data_dtype(data.dtype)
    header.set_data_shape(data.shape)
    header.set_sform(np.eye(4), 1)
    size = int(header["sizeof_hdr"])
    header["magic"] = b"n+1" if size == 348 else b"n+2"
    header["vox_offset"] = size + 4 + len(extensions)
    for name, value in fields.items():
        header[name] = value
    extender = bytes([len(extensions) > 0, 0, 0, 0])
    voxels = data.astype(data.dtype.newbyteorder(order)).tobytes(order="F")
    return header.binaryblock + extender + extensions + voxels


def extension(length, size=None, order="<"):
    """Return an extension of `length` bytes, which says that it has `size`."""
    head = struct.pack(f"{order}2i", length if size is None else size, 6)
    return (head + b"e" * length)[:length]


def write(path, content):
    path.write_bytes(content)
    return path
