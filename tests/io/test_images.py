import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from support.grid_cases import simple_itk_image
from support.io_cases import GRIDS

from zoo import UserError
from zoo.io.images import as_volume
from zoo.io.lps import FLIP
from zoo.io.volume import Volume

GRID = GRIDS["oblique anisotropic LAS"]
DATA = torch.arange(np.prod(GRID.shape)).reshape(GRID.shape).to(torch.int16)

IMAGES = {
    "nibabel": lambda: nib.Nifti1Image(DATA.numpy(), GRID.affine.numpy()),
    "nibabel with a trailing axis": lambda: nib.Nifti1Image(
        DATA.numpy()[..., None], GRID.affine.numpy()
    ),
    "array": lambda: (DATA.numpy(), GRID.affine.numpy()),
    "tensor": lambda: (DATA, GRID.affine),
    "SimpleITK": lambda: simple_itk_image(DATA, GRID),
    "MetaTensor": lambda: MetaTensor(DATA, affine=GRID.affine),
    "MetaTensor with a channel": lambda: MetaTensor(DATA[None], affine=GRID.affine),
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
        ((ARRAY[0], np.eye(4)), "at least two voxels per axis"),
        ((ARRAY[:, :1], np.eye(4)), "at least two voxels per axis"),
        ((np.zeros((2, 4, 5, 6)), np.eye(4)), "at least two voxels per axis"),
        ((ARRAY.astype(complex), np.eye(4)), "complex128; only real numbers"),
        ((ARRAY, np.zeros((4, 4))), "affine of fixed must be an invertible 4x4"),
        ((ARRAY, np.eye(3)), "affine of fixed must be an invertible 4x4"),
        ((ARRAY, "x"), "fixed cannot be read"),
        ((ARRAY + np.nan, np.eye(4)), "NaN or Inf \\(120 of 120 values"),
        ((np.full((3, 3, 3), 2**63, np.uint64), np.eye(4)), "uint64 value 9223372036854775808"),
        (sitk.Image((4, 4), sitk.sitkUInt8), "2-dimensional with 1-component"),
        (sitk.Image((4, 4, 4), sitk.sitkVectorFloat32, 3), "3-dimensional with 3-component"),
    ],
)
def test_unsuitable_images_are_refused(image, pattern):
    with pytest.raises(UserError, match=pattern):
        as_volume(image, "fixed")
