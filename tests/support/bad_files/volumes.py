"""Images and label maps that must be refused."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np

from support.bad_files.table import bad, field_image, good_image, save, text, with_header


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
