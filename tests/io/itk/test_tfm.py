import struct

import ants
import numpy as np
import pytest
import scipy.io
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.itk.tfm import is_mat, read_mat, read_tfm, write_mat, write_tfm
from zoo.io.transforms import read_transform


def test_mat_file_in_single_precision_is_read(tmp_path):
    """`antsRegistration --float 1` writes matrices of MATLAB type 10."""
    numbers = {"AffineTransform_float_3_3": [1, 0, 0, 0, 1, 0, 0, 0, 1, 4, -5, 6], "fixed": [0] * 3}
    content = b""
    for name, values in numbers.items():
        content += struct.pack("<5i", 10, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0"
        content += np.array(values, "<f4").tobytes()
    path = tmp_path / "0GenericAffine.mat"
    path.write_bytes(content)
    assert read_transform(path).affine[:3, 3].tolist() == [-4, 5, 6]


@pytest.mark.parametrize(
    ("write", "read", "name"), [(write_tfm, read_tfm, "a.tfm"), (write_mat, read_mat, "a.mat")]
)
def test_affine_round_trips_in_full_precision(tmp_path, write, read, name):
    write(tmp_path / name, Transform(AFFINE / 3 + torch.diag(torch.tensor([0, 0, 0, 2 / 3]))))
    affine = read(tmp_path / name).affine
    torch.testing.assert_close(affine[:3], AFFINE[:3] / 3, atol=1e-15, rtol=1e-15)


@pytest.mark.parametrize("write", [write_tfm, write_mat])
def test_field_is_refused_by_affine_formats(tmp_path, write):
    with pytest.raises(UserError, match=r"store an affine only.*write \.h5"):
        write(tmp_path / "a", smooth_transform(GRIDS["RAS"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["AffineTransform", "Euler3DTransform"])
@pytest.mark.parametrize("precision", ["float", "double"])
def test_mat_files_of_ants_are_read(tmp_path, kind, precision):
    theirs = ants.create_ants_transform(kind, precision=precision)
    parameters = [0.1, -0.2, 0.3, 4, 5, 6]
    if kind == "AffineTransform":
        parameters = [1.1, 0.1, 0, -0.1, 0.9, 0.2, 0, 0.1, 1.05, 4, 5, 6]
    theirs.set_parameters(parameters)
    theirs.set_fixed_parameters([10, 20, 30])
    path = tmp_path / "0GenericAffine.mat"
    ants.write_transform(theirs, str(path))
    assert is_mat(path)
    points = inner_points(GRIDS["LPS"])
    flip = np.array([-1, -1, 1])
    mapped = [ants.apply_ants_transform_to_point(theirs, p) for p in points.numpy() * flip]
    assert max_distance(read_mat(path).map_points(points), np.array(mapped) * flip) < 1e-3


def test_written_mat_file_is_read_by_scipy(tmp_path):
    write_mat(tmp_path / "a.mat", Transform(AFFINE))
    columns = scipy.io.loadmat(tmp_path / "a.mat")
    assert columns["AffineTransform_double_3_3"].shape == (12, 1)
    assert columns["fixed"].ravel().tolist() == [0, 0, 0]


def test_mat_file_without_fixed_parameters_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"AffineTransform_double_3_3": np.ones(12)}, format="4")
    with pytest.raises(UserError, match="'fixed' parameters"):
        read_mat(tmp_path / "a.mat")
