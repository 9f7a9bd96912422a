"""BIDS names of outputs, and what is refused."""

import json
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from zoo import UserError
from zoo.io.bids import (
    PATTERN,
    BidsName,
    bids_outputs,
    parse_bids_name,
    refuse_other_dataset,
    write_description,
    write_sidecar,
)

T1, T2 = "sub-01_T1w.nii.gz", "sub-01_acq-fast_T2w.nii"


def test_names_are_read():
    name = parse_bids_name(Path("sub-01/ses-2/func/sub-01_ses-2_task-rest_bold.nii.gz"))
    assert name == BidsName({"sub": "01", "ses": "2", "task": "rest"}, "bold", "func")
    assert parse_bids_name(Path("tpl-X_res-1_T1w.nii.gz")).entities == {"tpl": "X", "res": "1"}
    with pytest.raises(FrozenInstanceError):
        name.suffix = "T1w"
    with pytest.raises(FrozenInstanceError):
        bids_outputs(Path(T1), Path(T2)).fixed = name


@pytest.mark.parametrize(
    "ending", [".nii.gz", ".nii", ".mha", ".nrrd", ".mhd", ".NII.GZ", "", ".h5"]
)
def test_the_ending_is_no_part_of_the_name(ending):
    name = parse_bids_name(Path(f"sub-a1_acq-b+2_T1w{ending}"))
    assert name == BidsName({"sub": "a1", "acq": "b+2"}, "T1w", "anat")


@pytest.mark.parametrize(
    ("path", "datatype"),
    [
        ("sub-1_bold.nii", "func"), ("sub-1_sbref.nii", "func"), ("sub-1_dwi.nii", "dwi"),
        ("sub-1_pet.nii", "pet"), ("sub-1_asl.nii", "perf"), ("sub-1_T2w.nii", "anat"),
        ("sub-1/pet/sub-1_T1w.nii", "pet"), ("fmap/sub-1_bold.nii", "fmap"),
        ("other/sub-1_dwi.nii", "dwi"), ("dwi/other/sub-1_T1w.nii", "anat"),
    ],
)  # fmt: skip
def test_the_datatype_is_the_folder_or_follows_from_the_suffix(path, datatype):
    assert parse_bids_name(Path(path)).datatype == datatype


@pytest.mark.parametrize(
    ("fixed", "moving", "expected"),
    [
        # As fMRIPrep names them.
        ("tpl-MNI152NLin2009cAsym_res-01_T1w.nii.gz", T1, "from-T1w_to-MNI152NLin2009cAsym"),
        (T1, T2, "acq-fast_from-T2w_to-T1w"),
        ("sub-01_ses-1_T1w.nii.gz", "sub-01_ses-2_T1w.nii.gz", "ses-2_from-ses2T1w_to-ses1T1w"),
        ("sub-02_T1w.nii.gz", T1, "from-sub01T1w_to-sub02T1w"),
        ("sub-01_run-1_T1w.nii.gz", "sub-01_run-2_T1w.nii.gz", "run-2_from-run2T1w_to-run1T1w"),
        (T1, T1, "from-T1wmoving_to-T1wfixed"),
        ("sub-01_space-A_desc-x_T1w.nii.gz", T1, "from-T1w_to-A"),
        ("sub-01_space-A+b_T1w.nii.gz", T1, "from-T1w_to-Ab"),
        (T1, "sub-01_space-A_desc-x_T1w.nii.gz", "from-A_to-T1w"),
        ("sub-02_ses-1_T1w.nii", "sub-01_ses-2_T1w.nii", "ses-2_from-ses2T1w_to-ses1T1w"),
        ("sub-02_ses-1_T1w.nii", "sub-01_ses-1_T1w.nii", "ses-1_from-sub01T1w_to-sub02T1w"),
        (T1, "sub-01_acq-a+b_T1w.nii", "acq-a+b_from-acqabT1w_to-T1w"),
        ("sub-01_run-3_T1w.nii", T1, "from-T1w_to-run3T1w"),
        (
            "sub-01_acq-x_run-1_T1w.nii",
            "sub-01_acq-y_run-2_T1w.nii",
            "acq-y_run-2_from-acqyrun2T1w_to-acqxrun1T1w",
        ),
    ],
)
def test_transforms_are_named_after_both_images(fixed, moving, expected):
    outputs = bids_outputs(Path(fixed), Path(moving))
    name = outputs.transform(".h5").split("/")[-1]
    assert name == f"sub-01_{expected}_mode-image_xfm.h5"
    inverse = outputs.transform(".h5", inverse=True)
    source, target = outputs.spaces
    assert f"_from-{target}_to-{source}_mode-image_xfm.h5" in inverse


def test_the_warped_image_keeps_its_entities_and_names_its_space():
    outputs = bids_outputs(Path("tpl-X_T1w.nii.gz"), Path("sub-01_ses-2_acq-a_desc-b_T1w.nii.gz"))
    folder = "sub-01/ses-2/anat"
    assert outputs.warped() == f"{folder}/sub-01_ses-2_acq-a_space-X_desc-registered_T1w.nii.gz"
    assert outputs.warped("dseg").endswith("_space-X_desc-registered_dseg.nii.gz")


@pytest.mark.parametrize(
    "name",
    [
        *("T1w.nii.gz", "sub-01.nii.gz", "sub-_T1w.nii", "sub-01_ses_T1w.nii", "a-b_T1w.nii"),
        *("01.nii", "sub-01_sub-02_T1w.nii", "ses-1_sub-01_T1w.nii", "sub-01_T1-w.nii"),
        *("sub-01_T1ü.nii", "sub-01_.nii", "sub-01_acq-ä_T1w.nii", ".nii"),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="is not a BIDS name"):
        bids_outputs(Path(T1), Path(name))


def test_a_template_cannot_be_the_moving_image():
    with pytest.raises(UserError, match="has no subject"):
        bids_outputs(Path(T1), Path("tpl-X_T1w.nii.gz"))


@pytest.mark.parametrize("names", [[], ["result.json", "plan.json", "result.json"]])
def test_files_without_bids_names_are_listed_as_ignored(tmp_path, names):
    write_description(tmp_path, "1.0", names)
    ignored = tmp_path / ".bidsignore"
    lines = ignored.read_text().splitlines() if ignored.exists() else None
    assert lines == (["plan.json", "result.json"] if names else None)


def test_the_description_is_that_of_a_derivative(tmp_path):
    write_description(tmp_path, "1.2.3", [])
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"] == [{"Name": "regzoo", "Version": "1.2.3"}]
    assert re.fullmatch(r"1\.\d+\.\d+", description["BIDSVersion"])
    assert set(description) == {"Name", "BIDSVersion", "DatasetType", "GeneratedBy"}


def test_all_names_of_a_registration_are_listed_and_match_the_pattern():
    outputs = bids_outputs(Path("sub-02_T1w.nii"), Path("sub-01_ses-2_space-B_run-1_T2w.nii"))
    folder = "sub-01/ses-2/anat/sub-01_ses-2_run-1"
    there, back = "from-B_to-T1w_mode-image_xfm", "from-T1w_to-B_mode-image_xfm"
    warped = "space-T1w_desc-registered"
    assert outputs.names() == [
        f"{folder}_{there}.nii.gz",
        f"{folder}_{back}.nii.gz",
        f"{folder}_{there}.h5",
        f"{folder}_{back}.h5",
        f"{folder}_{warped}_T2w.nii.gz",
        f"{folder}_{warped}_dseg.nii.gz",
        f"{folder}_{warped}_T2w.json",
    ]
    known = [*outputs.names(), "dataset_description.json", ".bidsignore"]
    assert all(re.fullmatch(PATTERN, name) for name in known)
    others = ("result.json", "sub-01/T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz.txt/x", "/etc/x")
    assert not any(re.fullmatch(PATTERN, name) for name in others)


def test_a_folder_that_is_another_dataset_is_refused(tmp_path):
    refuse_other_dataset(tmp_path)
    write_description(tmp_path, "1.0", [])
    refuse_other_dataset(tmp_path, ["a.json", "dataset_description.json"])
    for own in ((), ("a.json",)):
        with pytest.raises(UserError, match=f"^{tmp_path} has a dataset_description") as refusal:
            refuse_other_dataset(tmp_path, own)
        assert str(tmp_path / "derivatives" / "regzoo-01") in str(refusal.value)


def test_the_sidecar_names_both_images(tmp_path):
    write_sidecar(tmp_path / "a.json", Path("x/fixed.nii"), Path("y/moving.nii"))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content == {"SpatialReference": "fixed.nii", "Sources": ["moving.nii"]}
