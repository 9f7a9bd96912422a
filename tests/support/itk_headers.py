"""MetaImage and NRRD files written by hand, so that each field of their headers can be changed."""

import numpy as np

DATA = np.arange(4 * 3 * 2, dtype="<i2")
META = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "1 2 3", "ElementSpacing": "1 2 3",
    "DimSize": "4 3 2", "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL",
}  # fmt: skip
NRRD = {
    "type": "short", "dimension": "3", "space": "left-posterior-superior", "sizes": "4 3 2",
    "space directions": "(1,0,0) (0,2,0) (0,0,3)", "space origin": "(1,2,3)",
    "endian": "little", "encoding": "raw",
}  # fmt: skip


def metaimage(folder, data=None, **changes):
    """Write a MetaImage; a field that is None is left out, and ElementDataFile is the last one."""
    last = changes.pop("ElementDataFile", "LOCAL")
    fields = {**META, **changes}
    fields["ElementDataFile"] = fields.pop("ElementDataFile") and last
    text = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    path = folder / "a.mha"
    path.write_bytes(text.encode() + (DATA.tobytes() if data is None else data))
    return path


def nrrd(folder, data=None, magic="NRRD0004", **changes):
    """Write an NRRD file; a field that is None is left out, and _ in a name stands for a space."""
    fields = {**NRRD, **{key.replace("_", " "): value for key, value in changes.items()}}
    text = "".join(f"{key}: {value}\n" for key, value in fields.items() if value is not None)
    path = folder / "a.nrrd"
    path.write_bytes(f"{magic}\n{text}\n".encode() + (DATA.tobytes() if data is None else data))
    return path
