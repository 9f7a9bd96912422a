"""Files that the readers must refuse.

`BAD_FILES[name].make(folder)` creates the file and returns its path; `kind` is the reader it is
for, and `pattern` matches the error.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import h5py
import nibabel as nib
import numpy as np

Kind = Literal["volume", "labels", "points", "transform"]


class BadFile(NamedTuple):
    kind: Kind
    pattern: str
    make: Callable[[Path], Path]


BAD_FILES: dict[str, BadFile] = {}


def bad(kind: Kind, pattern: str):
    """Register the decorated function under its name, with spaces for underscores."""

    def register(make):
        name = make.__name__.replace("_", " ")
        assert name not in BAD_FILES, f"two bad files are called {name!r}"
        BAD_FILES[name] = BadFile(kind, pattern, make)
        return make

    return register


def good_image(shape=(6, 5, 4), dtype=np.int16, affine=None):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 100, shape).astype(dtype)
    image = nib.Nifti1Image(data, np.diag([2, 2.5, 3, 1]) if affine is None else affine)
    image.set_sform(image.affine, 1)
    image.set_qform(image.affine, 1)
    image.header.set_xyzt_units("mm")
    return image


def save(folder, image, name="bad.nii.gz"):
    path = folder / name
    image.to_filename(path)
    return path


def with_header(folder, **fields):
    """Write a valid .nii file and change fields of its header, which nibabel would refuse."""
    path = save(folder, good_image(), "bad.nii")
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348])
    for key, value in fields.items():
        header[key] = value
    header["vox_offset"] = fields.get("vox_offset", 352)
    header["magic"] = fields.get("magic", b"n+1")
    path.write_bytes(header.binaryblock + content[348:])
    return path


def field_image(shape=(6, 5, 4, 1, 3), intent=1007, dtype=np.float32):
    image = good_image(shape, dtype)
    image.header.set_intent(intent)
    return image


def text(folder, name, content):
    path = folder / name
    path.write_text(content)
    return path


def hdf5(folder, kinds, parameters=12):
    path = folder / "bad.h5"
    ascii_text = h5py.string_dtype("ascii")
    with h5py.File(path, "w") as store:
        for number, kind in enumerate(kinds):
            group = store.create_group(f"TransformGroup/{number}")
            group.create_dataset("TransformType", data=[f"{kind}_double_3_3"], dtype=ascii_text)
            if kind != "CompositeTransform":
                group.create_dataset("TransformParameters", data=np.zeros(parameters))
                group.create_dataset("TransformFixedParameters", data=np.zeros(3))
    return path


# ---- any file ----------------------------------------------------------------------------------


@bad("volume", "there is no file")
def missing_file(folder):
    return folder / "nowhere.nii.gz"


@bad("volume", "is a folder")
def folder_for_a_volume(folder):
    (folder / "bad.nii.gz").mkdir()
    return folder / "bad.nii.gz"


@bad("volume", "is empty")
def empty_volume(folder):
    return text(folder, "bad.nii.gz", "")


@bad("volume", "is not NIfTI")
def text_named_nifti(folder):
    return text(folder, "bad.nii", "this is not an image\n" * 50)


@bad("volume", "is not NIfTI")
def gzip_of_text(folder):
    path = folder / "bad.nii.gz"
    path.write_bytes(gzip.compress(b"this is not an image\n" * 50))
    return path


@bad("volume", "compressed with gzip, contrary.*rename")
def gzip_named_nii(folder):
    return save(folder, good_image()).rename(folder / "bad.nii")


@bad("volume", "not compressed, contrary.*rename")
def plain_named_gz(folder):
    return save(folder, good_image(), "bad.nii").rename(folder / "bad.nii.gz")


# ---- missing bytes -----------------------------------------------------------------------------


@bad("volume", "truncated or damaged")
def truncated_nii(folder):
    path = save(folder, good_image(), "bad.nii")
    path.write_bytes(path.read_bytes()[:-7])
    return path


@bad("volume", "truncated or damaged")
def truncated_nii_gz(folder):
    path = save(folder, good_image((20, 20, 20)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@bad("volume", "truncated or damaged")
def gzip_truncated_in_its_header(folder):
    path = save(folder, good_image())
    path.write_bytes(path.read_bytes()[:6])
    return path


@bad("volume", "truncated or damaged")
def truncated_header(folder):
    path = save(folder, good_image(), "bad.nii")
    path.write_bytes(path.read_bytes()[:200])
    return path


@bad("volume", "truncated or damaged.*CRC")
def gzip_with_a_wrong_checksum(folder):
    path = save(folder, good_image())
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


@bad("volume", "truncated or damaged.*bytes")
def complete_gzip_of_too_few_voxels(folder):
    path = save(folder, good_image(), "bad.nii")
    compressed = folder / "bad.nii.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()[:-7]))
    return compressed


@bad("volume", "truncated or damaged.*needs")
def header_that_announces_terabytes(folder):
    return with_header(folder, dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])


@bad("volume", "truncated or damaged.*needs")
def nifti2_of_two_to_the_sixty_voxels(folder):
    image = nib.Nifti2Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    path = save(folder, image, "bad.nii")
    content = bytearray(path.read_bytes())
    content[16:48] = struct.pack("<4q", 3, 1 << 20, 1 << 20, 1 << 20)
    path.write_bytes(bytes(content))
    return path


@bad("volume", "begin at byte")
def data_offset_within_the_header(folder):
    return with_header(folder, vox_offset=16)


# ---- shapes and types --------------------------------------------------------------------------


@bad("volume", "at least one voxel")
def axis_of_negative_length(folder):
    return with_header(folder, dim=[3, 6, -5, 4, 1, 1, 1, 1])


@bad("volume", "0 axes")
def header_with_no_axes(folder):
    return with_header(folder, dim=[0, 6, 5, 4, 1, 1, 1, 1])


@bad("volume", "not three-dimensional")
def one_axis(folder):
    return with_header(folder, dim=[1, 120, 1, 1, 1, 1, 1, 1])


@bad("volume", "not three-dimensional")
def two_axes(folder):
    return with_header(folder, dim=[2, 12, 10, 1, 1, 1, 1, 1])


@bad("volume", "not three-dimensional")
def one_slice(folder):
    return save(folder, good_image((6, 5, 1)))


@bad("volume", "several volumes")
def time_series(folder):
    return save(folder, good_image((6, 5, 4, 3)))


@bad("volume", "vector field")
def field_for_a_volume(folder):
    return save(folder, field_image())


@bad("volume", "complex64")
def complex_voxels(folder):
    return save(folder, good_image(dtype=np.complex64))


@bad("volume", "RGB")
def colour_voxels(folder):
    colour = np.zeros((6, 5, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    return save(folder, nib.Nifti1Image(colour, np.eye(4)))


@bad("volume", "float128")
def quad_precision_voxels(folder):
    return with_header(folder, datatype=1536, bitpix=128, dim=[3, 3, 2, 2, 1, 1, 1, 1])


@bad("volume", "code 77")
def unknown_type_of_voxel(folder):
    return with_header(folder, datatype=77)


@bad("volume", "Analyze")
def analyze_header(folder):
    return with_header(folder, magic=b"").rename(folder / "bad.hdr")


@bad("volume", "half of a NIfTI pair")
def nifti_pair(folder):
    nib.Nifti1Pair.from_image(good_image()).to_filename(folder / "bad.hdr")
    return folder / "bad.hdr"


# ---- values ------------------------------------------------------------------------------------


@bad("volume", r"NaN or Inf \(1 of 120 values.*\(1, 2, 3\)")
def one_voxel_is_nan(folder):
    image = good_image(dtype=np.float32)
    np.asarray(image.dataobj)[1, 2, 3] = np.nan
    return save(folder, image)


@bad("volume", "NaN or Inf")
def one_voxel_is_infinite(folder):
    image = good_image(dtype=np.float64)
    np.asarray(image.dataobj)[0, 0, 0] = -np.inf
    return save(folder, image)


@bad("volume", "scales its voxels by inf")
def infinite_slope(folder):
    return with_header(folder, scl_slope=np.inf, scl_inter=0)


@bad("volume", "uint64 value")
def unsigned_beyond_64_bits(folder):
    image = nib.Nifti1Image(np.full((4, 4, 4), 2**63 + 5, np.uint64), np.eye(4), dtype=np.uint64)
    return save(folder, image)


@bad("labels", "not a label map.*not whole numbers")
def labels_of_halves(folder):
    image = good_image(dtype=np.float32)
    np.asarray(image.dataobj)[2, 2, 2] = 1.5
    return save(folder, image)


@bad("labels", "NaN or Inf")
def labels_with_nan(folder):
    image = good_image(dtype=np.float32)
    np.asarray(image.dataobj)[2, 2, 2] = np.nan
    return save(folder, image)


# ---- geometry ----------------------------------------------------------------------------------


@bad("volume", "sheared affine")
def sheared_affine(folder):
    affine = np.diag([2.0, 2.5, 3, 1])
    affine[0, 1] = 0.4
    image = good_image()
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    return save(folder, image)


@bad("volume", r"spacing \(pixdim\)")
def spacing_of_zero(folder):
    return with_header(folder, pixdim=[1, 2, 0, 3, 0, 0, 0, 0], qform_code=0)


@bad("volume", r"spacing \(pixdim\)")
def negative_spacing(folder):
    return with_header(folder, pixdim=[1, 2, -2.5, 3, 0, 0, 0, 0], qform_code=0)


@bad("volume", "in pixdim and")
def spacing_that_contradicts_the_sform(folder):
    return with_header(folder, pixdim=[1, 1, 1, 1, 0, 0, 0, 0], qform_code=0)


@bad("volume", "affine with NaN")
def nan_in_the_affine(folder):
    return with_header(folder, srow_x=[np.nan, 0, 0, 0])


@bad("volume", "singular affine")
def affine_with_a_zero_row(folder):
    return with_header(folder, srow_z=[0, 0, 0, 0])


@bad("volume", "singular affine")
def parallel_axes(folder):
    return with_header(folder, srow_x=[2, 2, 0, 0], srow_y=[2, 2, 0, 0])


@bad("volume", "disagree by 0.0[12].*sform.*qform")
def sform_and_qform_that_differ_slightly(folder):
    return with_header(folder, qoffset_x=0.02)


@bad("volume", "disagree")
def sform_and_qform_that_differ_by_a_rotation(folder):
    return with_header(folder, quatern_b=0.1)


@bad("volume", "not a rotation")
def quaternion_longer_than_one(folder):
    return with_header(folder, quatern_b=0.9, quatern_c=0.9, sform_code=0)


@bad("volume", "neither sform nor qform")
def neither_sform_nor_qform(folder):
    return with_header(folder, sform_code=0, qform_code=0)


@bad("volume", "metre")
def metres(folder):
    return with_header(folder, xyzt_units=1)


@bad("volume", "micron")
def microns(folder):
    return with_header(folder, xyzt_units=3)


@bad("volume", "code 5")
def unknown_unit(folder):
    return with_header(folder, xyzt_units=5)


# ---- transforms --------------------------------------------------------------------------------


@bad("transform", "there is no file")
def missing_transform(folder):
    return folder / "nowhere.h5"


@bad("transform", "not a known transform")
def picture_for_a_transform(folder):
    path = folder / "bad.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    return path


@bad("transform", "is a volume")
def volume_for_a_transform(folder):
    return save(folder, good_image())


@bad("transform", "intent code 0")
def field_without_intent(folder):
    return save(folder, field_image(intent=0))


@bad("transform", "intent code 1006")
def field_with_the_displacement_intent(folder):
    return save(folder, field_image(intent=1006))


@bad("transform", r"\(X, Y, Z, 1, 3\)")
def field_of_two_components(folder):
    return save(folder, field_image((6, 5, 4, 1, 2)))


@bad("transform", r"\(X, Y, Z, 1, 3\)")
def field_over_time(folder):
    return save(folder, field_image((6, 5, 4, 2, 3)))


@bad("transform", "int16; save the field")
def field_of_integers(folder):
    return save(folder, field_image(dtype=np.int16))


@bad("transform", "NaN or Inf")
def field_with_nan(folder):
    image = field_image()
    np.asarray(image.dataobj)[0, 0, 0, 0, 0] = np.nan
    return save(folder, image)


@bad("transform", "truncated or damaged")
def truncated_field(folder):
    path = save(folder, field_image((16, 16, 16, 1, 3)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@bad("transform", "Learn2Reg field.*fixed and its moving")
def learn2reg_field_without_its_images(folder):
    return save(folder, good_image((6, 5, 4, 3), np.float32))


@bad("transform", "no TransformGroup")
def hdf5_of_something_else(folder):
    with h5py.File(folder / "bad.h5", "w") as store:
        store["weights"] = np.zeros(3)
    return folder / "bad.h5"


@bad("transform", "truncated or damaged")
def truncated_hdf5(folder):
    path = hdf5(folder, ["AffineTransform"])
    path.write_bytes(path.read_bytes()[:600])
    return path


@bad("transform", "BSplineTransform; allowed")
def hdf5_with_a_bspline(folder):
    return hdf5(folder, ["CompositeTransform", "BSplineTransform"])


@bad("transform", "cannot be inverted")
def hdf5_with_a_singular_affine(folder):
    return hdf5(folder, ["AffineTransform"])


@bad("transform", "11 parameters but needs 12")
def hdf5_affine_of_eleven_numbers(folder):
    return hdf5(folder, ["AffineTransform"], parameters=11)


@bad("transform", "grid of the field needs 18")
def hdf5_field_without_a_grid(folder):
    return hdf5(folder, ["CompositeTransform", "DisplacementFieldTransform"])


@bad("transform", "no composite")
def hdf5_of_two_transforms_without_composite(folder):
    return hdf5(folder, ["AffineTransform", "AffineTransform"])


@bad("transform", "truncated or damaged.*not an ITK transform")
def hdf5_without_parameters(folder):
    path = hdf5(folder, ["AffineTransform"])
    with h5py.File(path, "a") as store:
        del store["TransformGroup/0/TransformParameters"]
    return path


TFM = "#Insight Transform File V1.0\n#Transform 0\n"


@bad("transform", "line 4: could not convert.*'one'")
def tfm_with_words_for_numbers(folder):
    body = "Transform: AffineTransform_double_3_3\nParameters: one 0 0\nFixedParameters: 0 0 0\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "line 3.*not part of a transform")
def tfm_with_parameters_before_a_transform(folder):
    return text(folder, "bad.tfm", TFM + "Parameters: 1 0 0\n")


@bad("transform", "contains 0 transforms")
def tfm_without_transforms(folder):
    return text(folder, "bad.tfm", TFM)


@bad("transform", "0 parameters but needs 12")
def tfm_without_parameters(folder):
    return text(folder, "bad.tfm", TFM + "Transform: AffineTransform_double_3_3\n")


@bad("transform", "NaN or Inf among its parameters")
def tfm_with_nan(folder):
    body = "Transform: TranslationTransform_double_3_3\nParameters: 1 nan 2\nFixedParameters:\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "BSplineTransform; allowed")
def tfm_with_a_bspline(folder):
    body = "Transform: BSplineTransform_double_3_3\nParameters: 1 2 3\nFixedParameters: 1 2 3\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "three-dimensional")
def tfm_in_two_dimensions(folder):
    body = "Transform: AffineTransform_double_2_2\nParameters: 1 0 0 1 0 0\nFixedParameters: 0 0\n"
    return text(folder, "bad.tfm", TFM + body)


@bad("transform", "MATLAB 4")
def truncated_mat(folder):
    name = b"AffineTransform_double_3_3\0"
    path = folder / "bad.mat"
    path.write_bytes(struct.pack("<5i", 0, 12, 1, 0, len(name)) + name + bytes(40))
    return path


# ---- points ------------------------------------------------------------------------------------


@bad("points", "there is no file")
def missing_points(folder):
    return folder / "nowhere.csv"


@bad("points", "line 2: nan is not finite")
def points_with_nan(folder):
    return text(folder, "bad.csv", "1,2,3\n1,nan,3\n")


@bad("points", "line 3: the number of columns is 2")
def points_of_two_columns(folder):
    return text(folder, "bad.csv", "1,2,3\n\n4,5\n")


@bad("points", "line 1: the number of columns is 4")
def points_of_four_columns(folder):
    return text(folder, "bad.csv", "1,2,3,4\n")


@bad("points", "line 2: 'b' is not a number")
def points_with_words(folder):
    return text(folder, "bad.csv", "1,2,3\n4,b,6\n")


@bad("points", "no points")
def points_of_a_header_only(folder):
    return text(folder, "bad.csv", "x,y,z\n")


@bad("points", "line 3: the number of columns is 2, fewer than in the header")
def points_with_fewer_columns_than_the_header(folder):
    return text(folder, "bad.csv", "id,x,y,z\n1,2,3,4\n2,3\n")


@bad("points", "not text")
def image_for_points(folder):
    return save(folder, good_image())
