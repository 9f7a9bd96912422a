"""`regzoo init` writes a dataset.json, and never declares what is not so."""

import json

import pytest
from support.command_line import run
from support.planning_data import nifti


def test_init_writes_once(tmp_path, capsys):
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii.gz")
    assert run("init", tmp_path) == 2
    assert "--modality.0" in capsys.readouterr().err
    assert run("init", tmp_path, "--modality.0", "mr", "--anatomy", "head") == 0
    document = json.loads((tmp_path / "dataset.json").read_text())
    assert document["registration_val"] == [{"fixed": "./a.nii.gz", "moving": "./b.nii.gz"}]
    assert document["anatomy"] == "head-neck"
    assert run("init", tmp_path, "--modality.0", "mr") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "flags", "said"),
    [
        (("one_T1w", "two_T2w", "three_CT"), (), "several modalities: ct (three_CT.nii.gz), mr"),
        (
            ("sub-1_T1w", "sub-1_T2w", "sub-1_US"),
            (),
            "several modalities: mr (sub-1_T2w.nii.gz), us",
        ),
        (
            ("sub-1_T1w", "sub-1_T2w"),
            ("--modality.5", "ct"),
            "there is no slot 5 here, only 0 and 1",
        ),
    ],
)
def test_init_never_declares_what_is_not_so(tmp_path, names, flags, said, capsys):
    for name in names:
        nifti(tmp_path / f"{name}.nii.gz")
    code = run("init", tmp_path, *flags)
    error = capsys.readouterr().err
    assert code == 2, error
    assert said in error
    assert not (tmp_path / "dataset.json").exists()


def test_one_modality_in_several_sequences_is_one_slot(tmp_path):
    for name in ("sub-1_T1w", "sub-1_T2w", "sub-1_FLAIR"):
        nifti(tmp_path / f"{name}.nii.gz")
    assert run("init", tmp_path) == 0
