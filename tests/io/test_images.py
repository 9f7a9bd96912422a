import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from support.grid_cases import simple_itk_image
from support.io_cases import GRIDS

from zoo import UserError
from zoo.io.images import as_volume, to_nibabel, to_sitk
from zoo.io.lps import FLIP
from zoo.io.volume import Volume

GRID = GRIDS["oblique anisotropic LAS"]
DATA = torch.arange(np.prod(GRID.shape)).reshape(GRID.shape).to(torch.int16)

IMAGES = {
    "nibabel": lambda: nib.Nifti1Image(DATA.numpy(), GRID.affine.numpy()),
    "nibabel with a trailing axis": lambda: nib.Nifti1Image(
        DATA.numpy()[..., None], GRID.affine.numpy()
    ),
    "nibabel with two trailing axes": lambda: nib.Nifti1Image(
        DATA.numpy()[..., None, None], GRID.affine.numpy()
    ),
    "array": lambda: (DATA.numpy(), GRID.affine.numpy()),
    "tensor": lambda: (DATA, GRID.affine),
    "SimpleITK": lambda: simple_itk_image(DATA, GRID),
    "MetaTensor": lambda: MetaTensor(DATA, affine=GRID.affine),
    "MetaTensor with a channel": lambda: MetaTensor(DATA[None], affine=GRID.affine),
    "MetaTensor without a space": lambda: MetaTensor(DATA, affine=GRID.affine, meta={}),
    "MetaTensor in LPS": lambda: MetaTensor(DATA, affine=FLIP @ GRID.affine, meta={"space": "LPS"}),
    "Volume": lambda: Volume(DATA, GRID, "a.nii.gz"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images_keep_voxels_type_and_position(name):
    volume = as_volume(IMAGES[name]())
    assert torch.equal(volume.data, DATA)
    assert volume.data.dtype == torch.int16
    assert volume.grid.same_as(GRID, tolerance=1e-4)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("bool", torch.uint8),
        ("uint16", torch.int32),
        ("uint32", torch.int64),
        ("uint64", torch.int64),
        ("float16", torch.float32),
        (">i2", torch.int16),
        ("longdouble", torch.float64),
        ("float64", torch.float64),
    ],
)
def test_dtypes_that_torch_or_the_formats_lack_are_widened(given, expected):
    array = (np.arange(24).reshape(2, 3, 4) % 2).astype(given)
    volume = as_volume((array, np.eye(4)))
    assert volume.data.dtype == expected
    assert np.array_equal(volume.data.numpy(), array)


def test_the_image_is_copied():
    array = np.zeros((3, 4, 5), np.float32)
    volume = as_volume((array, np.eye(4)))
    array[:] = 1
    assert volume.data.max() == 0


ARRAY = np.zeros((4, 5, 6), np.float32)


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        (np.zeros((4, 5, 6)), "fixed is a ndarray; give a path"),
        ([1, 2], "fixed is a list; give a path"),
        ((ARRAY, np.eye(4), 1), "fixed is a tuple; give a path"),
        ((ARRAY,), "fixed is a tuple; give a path"),
        (torch.zeros(4, 5, 6), "fixed is a Tensor; give a path"),
        (SimpleNamespace(affine=np.eye(4)), "fixed is a SimpleNamespace; give a path"),
        (SimpleNamespace(dataobj=ARRAY), "fixed is a SimpleNamespace; give a path"),
        (SimpleNamespace(GetSpacing=list), "fixed is a SimpleNamespace; give a path"),
        (SimpleNamespace(GetDirection=list), "fixed is a SimpleNamespace; give a path"),
        ((ARRAY[0], np.eye(4)), r"shape \(5, 6\); a volume is \[X, Y, Z\] with at least two"),
        ((ARRAY[:1], np.eye(4)), r"shape \(1, 5, 6\); a volume"),
        ((ARRAY[:, :1], np.eye(4)), r"shape \(4, 1, 6\); a volume"),
        ((ARRAY[..., :1], np.eye(4)), r"shape \(4, 5, 1\); a volume"),
        ((np.zeros((2, 4, 5, 6)), np.eye(4)), r"shape \(2, 4, 5, 6\); a volume"),
        ((np.zeros((1, 4, 5, 6)), np.eye(4)), r"shape \(1, 4, 5, 6\); a volume"),
        (MetaTensor(torch.zeros(1, 5, 6)), r"shape \(1, 5, 6\); a volume"),
        (MetaTensor(torch.zeros(2, 4, 5, 6)), r"shape \(2, 4, 5, 6\); a volume"),
        ((ARRAY, {}), "fixed cannot be read"),
        ((ARRAY.astype(complex), np.eye(4)), "complex128; only real numbers"),
        ((ARRAY, np.zeros((4, 4))), "affine of fixed must be an invertible 4x4"),
        ((ARRAY, np.eye(3)), "affine of fixed must be an invertible 4x4"),
        ((ARRAY, "x"), "fixed cannot be read"),
        ((ARRAY + np.nan, np.eye(4)), "NaN or Inf \\(120 of 120 values"),
        ((np.full((3, 3, 3), 2**63, np.uint64), np.eye(4)), "uint64 value 9223372036854775808"),
        (sitk.Image((4, 4), sitk.sitkUInt8), "2-dimensional with 1-component"),
        (sitk.Image((4, 4), sitk.sitkVectorUInt8, 2), "2-dimensional with 2-component"),
        (sitk.Image((4, 4, 4, 4), sitk.sitkUInt8), "4-dimensional with 1-component"),
        (sitk.Image((4, 4, 4), sitk.sitkVectorFloat32, 3), "3-dimensional with 3-component"),
    ],
)
def test_unsuitable_images_are_refused(image, pattern):
    with pytest.raises(UserError, match=pattern):
        as_volume(image, "fixed")


def test_uint64_is_read_up_to_the_largest_int64():
    array = np.full((3, 4, 5), 7, np.uint64)
    array[2, 1, 0] = 2**63 - 1
    assert np.array_equal(as_volume((array, np.eye(4))).data, array.astype(np.int64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_tensor_of_half_precision_with_gradients_becomes_float32(dtype):
    tensor = (DATA % 7 / 4).to(dtype).requires_grad_()
    volume = as_volume((tensor, GRID.affine))
    assert volume.data.dtype == torch.float32
    assert torch.equal(volume.data, (DATA % 7 / 4).float())


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.float32, torch.int64])
def test_a_volume_becomes_an_image_of_nibabel(dtype):
    image = to_nibabel(Volume((DATA % 200).to(dtype), GRID, "a.nii.gz"))
    np.testing.assert_allclose(image.affine, GRID.affine)
    assert np.array_equal(np.asanyarray(image.dataobj), (DATA % 200).numpy())
    assert f"torch.{image.get_data_dtype().name}" == str(dtype)
    assert image.header.get_xyzt_units()[0] == "mm"


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_a_volume_becomes_an_image_of_simpleitk(grid):
    image = to_sitk(Volume(DATA, grid, "a.nii.gz"))
    assert image.GetSize() == grid.shape
    assert image.GetPixelIDTypeAsString() == "16-bit signed integer"
    for voxel in ((0, 0, 0), (7, 3, 11), (19, 16, 13)):
        assert image.GetPixel(voxel) == int(DATA[voxel])
        x, y, z = image.TransformIndexToPhysicalPoint(voxel)
        theirs = torch.tensor([-x, -y, z]).double()
        torch.testing.assert_close(grid.to_world(torch.tensor([voxel]))[0], theirs)


def test_without_simpleitk_its_installation_is_advised(monkeypatch):
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"run `pip install SimpleITK`, or use to_nibabel\(\)"):
        to_sitk(Volume(DATA, GRID, "a.nii.gz"))
