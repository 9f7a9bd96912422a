import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.nifti import nifti_grid, open_nifti, read_nifti_array, write_nifti
from zoo.io.volume import read_volume

FLIP = np.array([-1.0, -1.0, 1.0])


def volume(shape=(7, 6, 5), dtype=np.int16):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_written_volumes_have_the_same_position_in_nibabel_and_simpleitk(tmp_path, grid):
    path = tmp_path / "a.nii.gz"
    data = volume(grid.shape)
    write_nifti(path, data, grid)
    image, itk = nib.load(path), sitk.ReadImage(str(path))
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
    assert np.array_equal(np.asarray(image.dataobj), data)
    assert np.array_equal(sitk.GetArrayFromImage(itk).transpose(2, 1, 0), data)
    for index in np.ndindex(2, 2, 2):
        corner = [k * (n - 1) for k, n in zip(index, grid.shape, strict=True)]
        ours = grid.to_world(torch.tensor([corner]))[0].numpy()
        theirs = np.array(itk.TransformIndexToPhysicalPoint(corner)) * FLIP
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert nifti_grid(open_nifti(path)).same_as(grid)


def test_written_header_has_codes_units_and_no_scale(tmp_path):
    write_nifti(tmp_path / "a.nii", volume(), Grid.from_spacing((7, 6, 5)))
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_slope_inter() == (None, None)


def test_writing_is_deterministic(tmp_path):
    grid = Grid.from_spacing((7, 6, 5))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, volume(), grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("shape", [(7, 6, 5, 1, 3), (7, 6, 5, 3)])
def test_a_field_is_compressed_to_the_bytes_that_nibabel_writes(tmp_path, shape):
    field = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    field[:4] = 0
    for name in ("a.nii.gz", "b.nii.gz", "a.nii"):
        write_nifti(tmp_path / name, field, Grid.from_spacing((7, 6, 5)))
    compressed = (tmp_path / "a.nii.gz").read_bytes()
    assert compressed == (tmp_path / "b.nii.gz").read_bytes()
    assert gzip.decompress(compressed) == (tmp_path / "a.nii").read_bytes()  # written by nibabel
    assert len(compressed) < 0.65 * (tmp_path / "a.nii").stat().st_size
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj).tobytes() == field.tobytes()
    if len(shape) == 4:  # ITK has the fourth axis first and the voxels in reverse order
        assert np.array_equal(sitk.GetArrayFromImage(image).transpose(3, 2, 1, 0), field)


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8", ">u2", "<i4", "|u1", "|i1", "<u4", "<i8"])
def test_byte_orders_and_dtypes_are_read_like_nibabel(tmp_path, dtype):
    data = (volume() - 20 * (np.dtype(dtype).kind != "u")).astype(dtype)
    order = ">" if dtype[0] == ">" else "<"
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(data.dtype)
    image = nib.Nifti1Image(data, np.eye(4), header)
    image.set_sform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    array = read_nifti_array(open_nifti(tmp_path / "a.nii.gz"))
    assert np.array_equal(array, np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj))
    assert array.flags.c_contiguous
    assert array.dtype.isnative
    assert torch.from_numpy(array).shape == (7, 6, 5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_scaled_integers_become_float32_with_the_values_of_nibabel(tmp_path, suffix):
    image = nib.Nifti1Image(volume(), np.eye(4))
    image.set_sform(np.eye(4), 1)
    image.header.set_slope_inter(0.25, -7)
    path = tmp_path / f"a{suffix}"
    image.to_filename(path)
    array = read_nifti_array(open_nifti(path))
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, np.asarray(nib.load(path).dataobj), rtol=1e-6)
    assert array.min() < 0


def test_nifti2_is_read(tmp_path):
    image = nib.Nifti2Image(volume(), np.diag([2.0, 3, 4, 1]))
    image.set_sform(image.affine, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    file = open_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(read_nifti_array(file), volume())
    assert nifti_grid(file).spacing == (2, 3, 4)


def test_sheared_grid_is_not_written(tmp_path):
    affine = torch.eye(4, dtype=torch.float64)
    affine[0, 1] = 0.1
    with pytest.raises(UserError, match="sheared"):
        write_nifti(tmp_path / "a.nii", volume(), Grid((7, 6, 5), affine))
    assert not list(tmp_path.iterdir())


def test_other_suffixes_are_not_written(tmp_path):
    with pytest.raises(UserError, match=r"end in \.nii or \.nii\.gz"):
        write_nifti(tmp_path / "a.img", volume(), Grid.from_spacing((7, 6, 5)))


@pytest.mark.parametrize("dtype", ["<i4", "<f8"])
def test_scaling_of_wide_types_is_computed_in_double_precision(tmp_path, dtype):
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header["scl_slope"], header["scl_inter"] = 1, -(2**24)
    image = nib.Nifti1Image(np.zeros((3, 3, 3), dtype), np.eye(4), header)
    image.to_filename(tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[352:] = np.full(27, 2**24 + 1, dtype).tobytes()
    raw[112:120] = np.array([1, -(2**24)], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(raw)
    expected = np.asanyarray(nib.load(tmp_path / "a.nii").dataobj)
    assert expected.max() == 1
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").data.numpy(), expected)


@pytest.mark.parametrize(("kind", "size"), [(nib.Nifti1Image, 347), (nib.Nifti2Image, 539)])
def test_a_file_that_ends_within_its_header_is_refused(tmp_path, kind, size):
    kind(volume(), np.eye(4)).to_filename(tmp_path / "whole.nii")
    whole = (tmp_path / "whole.nii").read_bytes()
    for length in (100, size):
        (tmp_path / "a.nii").write_bytes(whole[:length])
        with pytest.raises(UserError, match=f"its {length} bytes are less than a header"):
            open_nifti(tmp_path / "a.nii")
