import nibabel as nib
import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.io.labels import read_labels


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
        (0, 40000, torch.int32),
        (0, 2**40, torch.int64),
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
    with pytest.raises(UserError, match="must fit into 64 bits"):
        read_labels(save(tmp_path / "a.nii", np.full((3, 3, 3), 1e30)))
