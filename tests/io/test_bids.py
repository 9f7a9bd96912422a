"""BIDS names of outputs, and what is refused."""

from pathlib import Path

import pytest

from zoo import UserError
from zoo.io.bids import BidsName, bids_outputs, parse_bids_name, write_description

T1, T2 = "sub-01_T1w.nii.gz", "sub-01_acq-fast_T2w.nii"


def test_names_are_read():
    name = parse_bids_name(Path("sub-01/ses-2/func/sub-01_ses-2_task-rest_bold.nii.gz"))
    assert name == BidsName({"sub": "01", "ses": "2", "task": "rest"}, "bold", "func")
    assert parse_bids_name(Path("tpl-X_res-1_T1w.nii.gz")).entities == {"tpl": "X", "res": "1"}


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
    ["T1w.nii.gz", "sub-01.nii.gz", "sub-_T1w.nii", "sub-01_ses_T1w.nii", "a-b_T1w.nii", "01.nii"],
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
