import sys

import numpy as np
import pytest
import SimpleITK as sitk

from zoo import UserError
from zoo.io.itk.image import is_itk_image
from zoo.io.volume import read_header, read_volume


@pytest.fixture
def image():
    return sitk.GetImageFromArray(np.arange(8000, dtype=np.int16).reshape(20, 20, 20))


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_files_are_recognised_by_their_content(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    assert is_itk_image(path)


def test_missing_simpleitk_is_an_error_that_names_the_extra(tmp_path, image, monkeypatch):
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"regzoo\[itk\]"):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_truncated_files_are_refused(tmp_path, image, suffix, packed):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path), packed)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UserError, match="truncated or damaged") as refusal:
        read_volume(path)
    assert "\n" not in str(refusal.value)


def test_vectors_and_slices_are_refused(tmp_path, image):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.Compose(image, image), str(path))
    with pytest.raises(UserError, match="2-component voxels"):
        read_header(path)
    sitk.WriteImage(image[:, :, 3], str(path))
    with pytest.raises(UserError, match="2-dimensional"):
        read_header(path)


def test_complex_and_infinite_voxels_are_refused(tmp_path, image):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.RealToHalfHermitianForwardFFT(sitk.Cast(image, sitk.sitkFloat32)), path)
    with pytest.raises(UserError, match=r"save it as one|component"):
        read_volume(path)
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) / 0, path)
    with pytest.raises(UserError, match="NaN or Inf"):
        read_volume(path)


@pytest.mark.parametrize("kind", [sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkUInt32, sitk.sitkInt64])
def test_types_that_torch_lacks_are_widened(tmp_path, image, kind):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.Cast(image, kind), path)
    expected = sitk.GetArrayFromImage(sitk.Cast(image, kind)).transpose(2, 1, 0)
    assert np.array_equal(read_volume(path).data.numpy(), expected)
