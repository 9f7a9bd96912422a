import nibabel as nib
import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.io.labels import read_labels, smallest_type


def save(path, data):
    image = nib.Nifti1Image(data, np.eye(4), dtype=data.dtype)
    image.set_sform(np.eye(4), 1)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, torch.uint8),
        (0, 256, torch.int16),
        (-1, 3, torch.int16),
        (-32768, 32767, torch.int16),
        (-32769, 3, torch.int32),
        (0, 32768, torch.int32),
        (-(2**31), 2**31 - 1, torch.int32),
        (-(2**31) - 1, 0, torch.int64),
        (0, 2**31, torch.int64),
        (-(2**40), 2**40, torch.int64),
    ],
)
@pytest.mark.parametrize("stored", [np.int64, np.float64])
def test_labels_get_the_smallest_sufficient_dtype(tmp_path, low, high, expected, stored):
    data = np.zeros((3, 3, 3), stored)
    data[0, 1, 2], data[2, 1, 0] = low, high
    labels = read_labels(save(tmp_path / "a.nii.gz", data)).data
    assert labels.dtype == expected
    assert np.array_equal(labels.numpy(), data)


def test_scaled_whole_numbers_are_accepted(tmp_path):
    image = nib.Nifti1Image(np.arange(27, dtype=np.int16).reshape(3, 3, 3), np.eye(4))
    image.set_sform(np.eye(4), 1)
    image.header.set_slope_inter(2, 1)
    nib.save(image, tmp_path / "a.nii")
    assert read_labels(tmp_path / "a.nii").data.flatten().tolist() == list(range(1, 54, 2))


def test_fractions_are_refused_with_number_and_position(tmp_path):
    data = np.zeros((3, 3, 3), np.float32)
    data[1, 2, 0] = data[2, 2, 2] = 0.5
    with pytest.raises(UserError, match=r"2 of 27 values are not whole.*0\.5 at voxel \(1, 2, 0\)"):
        read_labels(save(tmp_path / "a.nii", data))


def test_numbers_beyond_64_bits_are_refused(tmp_path):
    data = np.full((3, 3, 3), 1e30)
    data[0, 1, 2] = -2
    pattern = r"a\.nii has labels from -2 to 1e\+30; they must fit into 64 bits"
    with pytest.raises(UserError, match=pattern):
        read_labels(save(tmp_path / "a.nii", data))


def test_one_volume_of_a_series_of_label_maps_is_read(tmp_path):
    data = np.arange(81, dtype=np.float32).reshape(3, 3, 3, 3)
    labels = read_labels(save(tmp_path / "a.nii", data), 1)
    assert np.array_equal(labels.data, data[..., 1])
    assert labels.data.dtype == torch.uint8
    with pytest.raises(UserError, match="several volumes"):
        read_labels(tmp_path / "a.nii")


def test_labels_in_memory_get_the_smallest_type():
    assert smallest_type(torch.tensor([3.0, -200])).tolist() == [3, -200]
    assert smallest_type(torch.tensor([[7]])).dtype == torch.uint8
    with pytest.raises(ValueError, match=r"from 0 to 1e\+20; they must fit into 64 bits"):
        smallest_type(torch.tensor([0, 1e20]))
