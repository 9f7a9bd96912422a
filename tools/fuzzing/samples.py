"""A valid file of every kind that regzoo reads, as bytes."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable

import h5py
import nibabel as nib
import numpy as np
from safetensors.numpy import save

SHAPE = (5, 6, 7)
AFFINE = np.diag([2.0, 2.5, 3.0, 1.0])


def nifti(*, dtype: str = "<i2", field: bool = False, version: int = 1) -> bytes:
    """Return a volume, or an ITK displacement field, without compression."""
    shape = (*SHAPE, 1, 3) if field else SHAPE
    data = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    image = (nib.Nifti1Image if version == 1 else nib.Nifti2Image)(data, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    image.header.set_xyzt_units("mm")
    if field:
        image.header.set_intent("vector")
    elif version == 1:
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"a comment"))
    return bytes(image.to_bytes())


def metaimage(*, compressed: bool = False) -> bytes:
    """Return a MetaImage with its voxels in the same file."""
    data = np.random.default_rng(0).integers(0, 100, SHAPE).astype("<i2").tobytes(order="F")
    content = zlib.compress(data) if compressed else data
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {compressed}\nCompressedDataSize = {len(content)}\n"
        "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = -7 5 3\nCenterOfRotation = 0 0 0\n"
        "ElementSpacing = 2 2.5 3\nDimSize = 5 6 7\nElementType = MET_SHORT\n"
        "ElementDataFile = LOCAL\n"
    )
    return header.encode() + content


def nrrd() -> bytes:
    """Return an NRRD file with compressed voxels."""
    data = np.random.default_rng(0).integers(0, 100, SHAPE).astype("<i2").tobytes(order="F")
    header = (
        "NRRD0004\n# a comment\ntype: short\ndimension: 3\nspace: left-posterior-superior\n"
        "sizes: 5 6 7\nspace directions: (2,0,0) (0,2.5,0) (0,0,3)\n"
        "kinds: domain domain domain\nendian: little\nencoding: gzip\n"
        "space origin: (-7,5,3)\nkey:=value\n\n"
    )
    return header.encode() + gzip.compress(data, 1, mtime=0)


def hdf5() -> bytes:
    """Return an ITK composite of an affine transform and a compressed displacement field."""
    content = io.BytesIO()
    text = h5py.string_dtype("ascii")
    field = np.random.default_rng(0).normal(size=3 * 5 * 6 * 7).astype(np.float32)
    grid = np.array([*SHAPE, 0, 0, 0, 2, 2.5, 3, *np.eye(3).ravel()], float)
    with h5py.File(content, "w") as store:
        parts = [
            ("CompositeTransform", None, None),
            ("AffineTransform", np.array([1, 0, 0, 0, 1, 0, 0, 0, 1, 4, -5, 6.0]), np.zeros(3)),
            ("DisplacementFieldTransform", field, grid),
        ]
        for number, (kind, parameters, fixed) in enumerate(parts):
            group = store.create_group(f"TransformGroup/{number}")
            group.create_dataset("TransformType", data=[f"{kind}_double_3_3"], dtype=text)
            if parameters is not None:
                more = {"compression": "gzip", "shuffle": True} if parameters.size > 12 else {}
                group.create_dataset("TransformParameters", data=parameters, **more)
                group.create_dataset("TransformFixedParameters", data=fixed)
    return content.getvalue()


def tfm() -> bytes:
    """Return a composite of two affine transforms as text."""
    part = "Transform: {}\nParameters: {}\nFixedParameters: 1 2 3\n"  # centre of rotation
    return (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: CompositeTransform_double_3_3\n"
        "#Transform 1\n"
        + part.format("AffineTransform_double_3_3", "1 0 0 0 1.5 0 0 0 1 4 -5 6")
        + "#Transform 2\n"
        + part.format("Euler3DTransform_double_3_3", "0.1 -0.2 0.3 4 5 6")
    ).encode()


def mat() -> bytes:
    """Return an affine transform as ANTs writes it."""
    content = b""
    for name, values in (
        ("AffineTransform_double_3_3", [1, 0, 0, 0, 1, 0, 0, 0, 1, 4, -5, 6]),
        ("fixed", [10, 20, 30]),
    ):
        content += struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0"
        content += np.array(values, "<f8").tobytes()
    return content


def npz() -> bytes:
    """Return a displacement field of Learn2Reg, in voxels."""
    content = io.BytesIO()
    field = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float16)
    np.savez_compressed(content, field)
    return content.getvalue()


def csv() -> bytes:
    """Return five landmarks with a header and a comment."""
    rows = "\n".join(f"{k},{k * 1.5:.3f},-{k},name {k}" for k in range(5))
    return f"# landmarks\nx,y,z,name\n{rows}\n".encode()


def fcsv() -> bytes:
    """Return three fiducials of 3D Slicer."""
    rows = "\n".join(f"{k},{k * 1.5:.3f},-{k},7,0,0,0,1,1,1,0,F-{k},," for k in range(3))
    return (
        "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
        f"# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n{rows}\n"
    ).encode()


def markups() -> bytes:
    """Return a curve of three control points of 3D Slicer."""
    points = [{"id": str(k), "label": f"C-{k}", "position": [k * 1.5, -k, 7.25]} for k in range(3)]
    curve = {"type": "Curve", "coordinateSystem": "LPS", "coordinateUnits": "mm"}
    return json.dumps({"@schema": "x", "markups": [{**curve, "controlPoints": points}]}).encode()


def vtk() -> bytes:
    """Return a line of three points in a binary legacy file of VTK."""
    points = np.array([[1, 2, 3], [4, 5, 6], [7, 8.5, 9]], ">f4").tobytes()
    line = np.array([3, 0, 1, 2], ">i4").tobytes()
    return (
        b"# vtk DataFile Version 4.2\n3D Slicer output. SPACE=LPS\nBINARY\nDATASET POLYDATA\n"
        b"POINTS 3 float\n" + points + b"\nLINES 1 4\n" + line + b"\n"
    )


def vtp() -> bytes:
    """Return three points in an XML file of VTK, compressed and in base64."""
    points = zlib.compress(np.array([[1, 2, 3], [4, 5, 6], [7, 8.5, 9]], "<f4").tobytes())
    header = struct.pack("<4I", 1, 36, 0, len(points))
    packed = base64.b64encode(header) + base64.b64encode(points)
    return (
        b'<VTKFile type="PolyData" version="0.1" byte_order="LittleEndian" header_type="UInt32" '
        b'compressor="vtkZLibDataCompressor">\n<PolyData>\n<FieldData><Array type="String" '
        b'Name="SPACE" format="ascii">76 80 83 0</Array></FieldData>\n<Piece NumberOfPoints="3">'
        b'<Points><DataArray type="Float32" Name="Points" NumberOfComponents="3" format="binary">'
        + packed
        + b"</DataArray></Points></Piece>\n</PolyData>\n</VTKFile>\n"
    )


def lta() -> bytes:
    """Return an affine transform of FreeSurfer between voxels."""
    volume = (
        "valid = 1  # volume info valid\nfilename = a.mgz\nvolume = 5 6 7\nvoxelsize = 2 2.5 3\n"
        "xras   = -1 0 0\nyras   = 0 0 -1\nzras   = 0 1 0\ncras   = 4 -5 6\n"
    )
    return (
        "# a comment\ntype      = 0 # LINEAR_VOX_TO_VOX\nnxforms   = 1\nmean      = 0 0 0\n"
        "sigma     = 1.0\n1 4 4\n1 0 0 2\n0 1 0.5 -3\n0 0 1 4\n0 0 0 1\n"
        f"src volume info\n{volume}dst volume info\n{volume}subject x\nfscale 0.1\n"
    ).encode()


def x5() -> bytes:
    """Return a displacement field as nitransforms writes it."""
    content = io.BytesIO()
    field = np.random.default_rng(0).normal(size=(*SHAPE, 3)).astype(np.float32)
    with h5py.File(content, "w") as store:
        store.attrs["Format"], store.attrs["Version"] = "X5", np.uint16(1)
        group = store.create_group("TransformGroup/0")
        group.attrs["ArrayLength"] = 1
        group.attrs["Type"], group.attrs["SubType"] = "nonlinear", "densefield"
        group.attrs["Representation"] = "displacements"
        group.create_dataset("Transform", data=field)
        group.create_dataset("DimensionKinds", data=np.array([b"space"] * 3 + [b"vector"]))
        domain = group.create_group("Domain")
        domain.create_dataset("Grid", data=np.uint8(1))
        domain.create_dataset("Size", data=np.array(SHAPE))
        domain.create_dataset("Mapping", data=AFFINE)
    return content.getvalue()


def pairs_csv() -> bytes:
    """Return a table of two pairs."""
    return (
        b"fixed,moving,fixed_points,split\n"
        b'imagesTr/a.nii.gz,imagesTr/b.nii.gz,points/a.csv,train\n"c, d.nii.gz",e.nii.gz,,val\n'
    )


def document() -> bytes:
    """Return a dataset.json with typical entries."""
    pair = {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "./imagesTr/A_0002_0000.nii.gz"}
    return json.dumps(
        {
            "name": "Test",
            "modality": {"0": "CT"},
            "labels": {"1": "liver", "2": "spleen"},
            "training": [{"image": pair["fixed"], "label": "./labelsTr/A_0001_0000.nii.gz"}],
            "registration_val": [pair],
            "numTraining": 1,
            "points_space": "voxel",
            "tensorImageShape": [1.5, 2.5e-1, -3],
        },
        indent=1,
    ).encode()


def front_matter() -> bytes:
    """Return the front matter of a model card."""
    return (
        b"license: apache-2.0\ntags:\n- monai\n- 3d\nmodel:\n  width: 32\n  rate: 1.0e-4\n"
        b"  best: true\n  date: 2024-01-31\ndescription: >\n  Two\n  lines\n"
    )


def safetensors() -> bytes:
    """Return weights of three tensors; the library writes several metadata in random order."""
    tensors = {
        "first.weight": np.ones((4, 2, 3, 3, 3), np.float32),
        "first.bias": np.zeros(4, np.float16),
        "count": np.array(3),
    }
    return bytes(save(tensors, metadata={"width": "4"}))


SAMPLES: dict[str, Callable[[], bytes]] = {
    "volume.nii": nifti,
    "floats.nii": lambda: nifti(dtype=">f4", version=2),
    "volume.nii.gz": lambda: gzip.compress(nifti(), 1, mtime=0),
    "volume.mha": metaimage,
    "packed.mha": lambda: metaimage(compressed=True),
    "volume.nrrd": nrrd,
    "field.nii": lambda: nifti(dtype="<f4", field=True),
    "field.nii.gz": lambda: gzip.compress(nifti(dtype="<f4", field=True), 1, mtime=0),
    "transform.h5": hdf5,
    "transform.tfm": tfm,
    "transform.mat": mat,
    "field.npz": npz,
    "points.csv": csv,
    "points.fcsv": fcsv,
    "points.mrk.json": markups,
    "points.vtk": vtk,
    "points.vtp": vtp,
    "transform.lta": lta,
    "transform.x5": x5,
    "pairs.csv": pairs_csv,
    "dataset.json": document,
    "settings.yaml": front_matter,
    "weights.safetensors": safetensors,
}
"""By the name of the file: a function that returns its bytes."""
