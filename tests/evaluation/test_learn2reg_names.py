from dataclasses import replace
from pathlib import Path

import pytest
from support.report_cases import phantom_registration

from zoo import UserError
from zoo.evaluation.learn2reg_names import find_learn2reg_field, learn2reg_name
from zoo.handlers import RegistrationSaver


@pytest.mark.parametrize(
    ("fixed", "moving", "name"),
    [
        ("ThoraxCBCT_0011_0001.nii.gz", "ThoraxCBCT_0011_0000.nii.gz", "disp_0011_0001_0011_0000"),
        ("a.nii.gz", "b_2.mha", "disp_a_b_2"),
        ("0003_0000.nii.gz", "0004_0000.nii", "disp_0003_0000_0004_0000"),
    ],
)
def test_numbered_images_contribute_case_and_modality_and_others_their_name(fixed, moving, name):
    assert learn2reg_name(Path("in") / fixed, Path("in") / moving) == name


@pytest.mark.parametrize(
    ("fixed", "moving", "file"),
    [
        ("X_0001_0000", "X_0002_0001", "disp_0001_0000_0002_0001.npz"),
        ("X_0001_0000", "X_0002_0001", "disp_X_0001_0000_X_0002_0001.nii.gz"),
        ("X_0001_0000", "X_0002_0001", "disp_0001_0002.nii.gz"),
        ("X_0001_0001", "X_0002_0001", "disp_0001_0002.npz"),
    ],
)
def test_a_field_is_found_by_each_accepted_name(tmp_path, fixed, moving, file):
    (tmp_path / file).touch()
    paths = [Path(f"{name}.nii.gz") for name in (fixed, moving)]
    assert find_learn2reg_field(tmp_path, *paths) == tmp_path / file


def test_names_without_modalities_are_refused_for_other_modalities(tmp_path):
    (tmp_path / "disp_0001_0002.nii.gz").touch()
    with pytest.raises(UserError, match=r"has no disp_0001_0002_0002_0001\.nii\.gz or disp_"):
        find_learn2reg_field(tmp_path, Path("X_0001_0002.nii.gz"), Path("X_0002_0001.nii.gz"))


def test_a_registration_saves_its_field_under_the_name_of_the_challenge(tmp_path):
    registration = phantom_registration()
    pair = registration.pair
    fixed, moving = (Path(f"X_0001_000{k}.nii.gz") for k in (0, 1))
    pair = replace(
        pair,
        fixed=replace(pair.fixed, path=fixed),
        moving=(replace(pair.moving[0], path=moving),),
        moving_labels=None,
    )
    saver = RegistrationSaver(tmp_path, learn2reg=True, report=False)
    saver.save(replace(registration, pair=pair), tmp_path)
    file = tmp_path / "disp_0001_0000_0001_0001.nii.gz"
    assert find_learn2reg_field(tmp_path, fixed, moving) == file
