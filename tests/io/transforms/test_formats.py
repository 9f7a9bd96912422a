import shutil

import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.transforms import detect_format, read_affine, read_transform, write_transform

FIXED = GRIDS["oblique RAS"]
MOVING = GRIDS["permuted PIR"]

DENSE = [
    ("a.nii.gz", None, "itk-nifti"),
    ("a.nii", None, "itk-nifti"),
    ("a.h5", None, "itk-hdf5"),
    ("a.hdf5", None, "itk-hdf5"),
    ("a.npz", None, "learn2reg"),
    ("a.nii.gz", "learn2reg", "learn2reg"),
]
AFFINES = [("a.tfm", None, "itk-tfm"), ("a.txt", None, "itk-tfm"), ("a.mat", None, "itk-mat")]


@pytest.mark.parametrize(("name", "given", "expected"), DENSE + AFFINES)
def test_format_is_detected_from_the_content(tmp_path, name, given, expected):
    transform = Transform(AFFINE) if (name, given, expected) in AFFINES else smooth_transform(FIXED)
    write_transform(tmp_path / name, transform, FIXED, given, moving=MOVING)
    assert detect_format(tmp_path / name) == expected
    points = inner_points(FIXED)
    again = read_transform(tmp_path / name, FIXED, MOVING)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3
    if not name.startswith("a.nii"):  # NIfTI readers go by .gz
        shutil.move(tmp_path / name, tmp_path / "noname")
        assert detect_format(tmp_path / "noname") == expected


@pytest.mark.parametrize(("name", "given"), [case[:2] for case in DENSE])
def test_deformation_is_not_read_as_an_affine(tmp_path, name, given):
    write_transform(tmp_path / name, smooth_transform(FIXED), FIXED, given, moving=MOVING)
    with pytest.raises(UserError, match="holds a deformation"):
        read_affine(tmp_path / name)


@pytest.mark.parametrize("name", ["flirt.mat", "flirt.txt"])
def test_a_text_matrix_needs_a_marker(tmp_path, name):
    rows = "1 0 0 2.5  \n0 1 0 -3  \n0 0 1 4  \n0 0 0 1  \n"
    (tmp_path / name).write_text(rows)
    with pytest.raises(UserError, match=r"fsl:.*if FSL.*world:.*if greedy"):
        read_affine(tmp_path / name)


@pytest.mark.parametrize("name", ["a.tfm", "a.mat", "a.h5"])
def test_read_affine_returns_the_matrix(tmp_path, name):
    write_transform(tmp_path / name, Transform(AFFINE), None)
    assert torch.allclose(read_affine(tmp_path / name), torch.as_tensor(AFFINE).double(), atol=1e-5)


@pytest.mark.parametrize("first", DENSE + AFFINES)
@pytest.mark.parametrize("second", DENSE)
def test_formats_are_converted_to_each_other(tmp_path, first, second):
    transform = Transform(AFFINE) if first in AFFINES else smooth_transform(FIXED)
    (tmp_path / "from").mkdir()
    one, two = tmp_path / "from" / first[0], tmp_path / second[0]
    write_transform(one, transform, FIXED, first[1], moving=MOVING)
    write_transform(two, read_transform(one, FIXED, MOVING), FIXED, second[1], moving=MOVING)
    points = inner_points(FIXED)
    again = read_transform(two, FIXED, MOVING)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def test_suffix_must_fit_the_format(tmp_path):
    with pytest.raises(UserError, match=r"must end in \.h5 or \.hdf5"):
        write_transform(tmp_path / "a.nii.gz", smooth_transform(FIXED), FIXED, "itk-hdf5")
    with pytest.raises(UserError, match="no format 'spm'; allowed are itk-nifti"):
        write_transform(tmp_path / "a.nii.gz", smooth_transform(FIXED), FIXED, "spm")
    with pytest.raises(UserError, match="must end in"):
        write_transform(tmp_path / "a.xyz", smooth_transform(FIXED), FIXED)
    assert not list(tmp_path.iterdir())


def test_writing_fields_needs_the_grids(tmp_path):
    with pytest.raises(UserError, match="without the fixed image"):
        write_transform(tmp_path / "a.nii.gz", Transform(AFFINE), None)
    with pytest.raises(UserError, match="without the moving image"):
        write_transform(tmp_path / "a.npz", Transform(AFFINE), FIXED)
    write_transform(tmp_path / "a.nii.gz", smooth_transform(FIXED), None)
    assert read_transform(tmp_path / "a.nii.gz").grid.same_as(FIXED)
    assert len(list(tmp_path.iterdir())) == 1
