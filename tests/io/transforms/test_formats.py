import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from support.dicom_cases import analytic_slices, write_slices
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
    ("a.x5", None, "x5"),
]
AFFINES = [
    ("a.tfm", None, "itk-tfm"),
    ("a.txt", None, "itk-tfm"),
    ("a.mat", None, "itk-mat"),
    ("a.lta", None, "lta"),
    ("b.x5", None, "x5"),
]


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


@pytest.mark.parametrize("name", ["a.tfm", "a.mat", "a.h5", "a.x5", "a.lta"])
def test_read_affine_returns_the_matrix(tmp_path, name):
    grids = (FIXED, MOVING) if name == "a.lta" else (None, None)
    write_transform(tmp_path / name, Transform(AFFINE), grids[0], moving=grids[1])
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
    with pytest.raises(UserError) as caught:
        write_transform(tmp_path / "a.xyz", smooth_transform(FIXED), FIXED)
    suffixes = ".dcm .h5 .hdf5 .lta .mat .nii .nii.gz .npz .tfm .txt .x5"
    assert str(caught.value).endswith(f"must end in {suffixes.replace(' ', ' or ')}")
    assert not list(tmp_path.iterdir())


def test_writing_fields_needs_the_grids(tmp_path):
    with pytest.raises(UserError, match="without the fixed image"):
        write_transform(tmp_path / "a.nii.gz", Transform(AFFINE), None)
    with pytest.raises(UserError, match="without the moving image"):
        write_transform(tmp_path / "a.npz", Transform(AFFINE), FIXED)
    write_transform(tmp_path / "a.nii.gz", smooth_transform(FIXED), None)
    assert read_transform(tmp_path / "a.nii.gz").grid.same_as(FIXED)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a.mat", "a.txt"])
@pytest.mark.parametrize("format", ["fsl", "world"])
def test_a_named_text_matrix_is_written_and_read(tmp_path, format, name):
    write_transform(tmp_path / name, Transform(AFFINE), FIXED, format, moving=MOVING)
    with pytest.raises(UserError, match="is a text matrix"):
        detect_format(tmp_path / name)
    again = read_transform(tmp_path / name, FIXED, MOVING, format)
    points = inner_points(FIXED, count=20)
    assert max_distance(again.map_points(points), Transform(AFFINE).map_points(points)) < 1e-6


def test_dicom_registrations_are_told_from_other_dicom_files(tmp_path):
    series = []
    for name in ("fixed", "moving"):
        slices, _ = analytic_slices(shape=(5, 4, 3))
        series.append(write_slices(tmp_path / name, slices))
    path = tmp_path / "a.dcm"
    with pytest.raises(UserError, match=r"a\.dcm without the series to which it refers"):
        write_transform(path, Transform(AFFINE), FIXED)
    write_transform(path, Transform(AFFINE), FIXED, series=tuple(series))
    assert detect_format(path) == "dicom"
    points = inner_points(FIXED, count=20)
    again = read_transform(path)
    assert max_distance(again.map_points(points), Transform(AFFINE).map_points(points)) < 1e-3
    one = next(series[0].iterdir())
    with pytest.raises(UserError, match=f"{one.name} is DICOM, but not a registration"):
        detect_format(one)


def nifti(path, shape, intent=0):
    image = nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4))
    image.header["intent_code"] = intent
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((4, 5), "a volume"),
        ((4, 5, 6), "a volume"),
        ((4, 5, 6, 1), "an image"),
        ((4, 5, 6, 2), "an image"),
        ((4, 5, 6, 4), "an image"),
        ((4, 5, 6, 1, 1), "an image"),
    ],
)
def test_images_are_no_transforms(tmp_path, shape, kind):
    path = nifti(tmp_path / "a.nii", shape)
    with pytest.raises(UserError) as caught:
        detect_format(path)
    assert str(caught.value).startswith(f"{path} is {kind} of shape {shape}, not a transform")


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4, 5, 6, 3), "learn2reg"),
        ((4, 5, 6, 1, 3), "itk-nifti"),
        ((4, 5, 6, 3, 3), "itk-nifti"),
        ((4, 5, 6, 3, 1), "itk-nifti"),
    ],
)
def test_the_axes_of_a_nifti_file_tell_its_format(tmp_path, shape, expected):
    """What is detected as a field of ITK can still be refused when it is read."""
    path = nifti(tmp_path / "a.nii", shape)
    assert detect_format(path) == expected
    shutil.move(path, tmp_path / "noname")
    assert detect_format(tmp_path / "noname") == expected


def test_two_numbers_per_voxel_are_no_displacement(tmp_path):
    path = nifti(tmp_path / "a.nii", (4, 5, 6, 1, 2), intent=1007)
    with pytest.raises(UserError, match=r"has the shape \(4, 5, 6, 1, 2\); a displacement field"):
        read_transform(path)


@pytest.mark.parametrize("intent", range(2005, 2011))
def test_the_four_kinds_of_warps_of_fnirt_are_refused(tmp_path, intent):
    """2006 to 2009 in FSL's list of intents: fields, and coefficients of splines."""
    path = nifti(tmp_path / "a.nii", (4, 5, 6, 3), intent)
    if 2006 <= intent <= 2009:
        with pytest.raises(UserError, match=f"-from-fnirt {path} MOVING"):
            detect_format(path)
    else:
        assert detect_format(path) == "learn2reg"


def test_an_unknown_file_is_quoted_in_part(tmp_path):
    path = tmp_path / "a.tfm"
    path.write_bytes(b"0123456789abcdef")
    with pytest.raises(UserError) as caught:
        read_transform(path)
    formats = "itk-nifti, itk-hdf5, itk-tfm, itk-mat, learn2reg, dicom, fsl, world, lta, x5"
    begins = "(it begins with b'0123456789ab')"
    assert str(caught.value) == f"{path} is not a known transform {begins}; allowed are {formats}"


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_damaged_file_with_the_suffix_of_nifti_is_reported_as_such(tmp_path, name):
    (tmp_path / name).write_bytes(b"0123456789abcdef")
    with pytest.raises(UserError, match="is not NIfTI"):
        detect_format(tmp_path / name)


@pytest.mark.parametrize("grids", [(None, None), (FIXED, None), (None, MOVING)])
def test_a_learn2reg_field_needs_both_images(tmp_path, grids):
    write_transform(tmp_path / "a.npz", smooth_transform(FIXED), FIXED, moving=MOVING)
    with pytest.raises(UserError, match=r"a\.npz is a Learn2Reg field"):
        read_transform(tmp_path / "a.npz", *grids)
