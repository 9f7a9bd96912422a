"""`regzoo check` reports every problem of a dataset, and its exit code."""

import json

import numpy as np
from support.command_line import run
from support.planning_data import nifti, write_document


def test_a_clean_dataset_checks_well(data, capsys):
    assert run("check", data) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_problems_are_printed_written_and_told_by_the_exit_code(tmp_path, capsys):
    nifti(tmp_path / "a.nii.gz", xyzt_units=1)
    write_document(tmp_path, {"registration_val": [{"fixed": "a.nii.gz", "moving": "b.nii.gz"}]})
    out, fixed = tmp_path / "p.json", tmp_path / "fixed"
    assert run("check", tmp_path, "--verify", "--out", out, "--fix", fixed) == 2
    printed = capsys.readouterr().out
    ids = {problem["id"] for problem in json.loads(out.read_text())}
    assert {"unit", "file-missing"} <= ids
    assert all(f"error {id}: " in printed for id in ("unit", "file-missing"))
    assert (fixed / "a.nii.gz").is_file()


def test_a_ct_among_mr_images_stops_init_and_check_and_is_a_caution_of_the_plan(tmp_path, capsys):
    random = np.random.default_rng(0)
    for number, low in ((1, 0), (2, 0), (3, -1024), (4, 0)):
        values = random.integers(low, 1500, (16, 15, 14)).astype(np.int16)
        nifti(tmp_path / f"sub-{number}_T1w.nii.gz", values)
    assert run("init", tmp_path, "--anatomy", "brain") == 2
    assert "sub-3_T1w.nii.gz: the slot is declared mr" in capsys.readouterr().err
    names = [f"sub-{k}_T1w.nii.gz" for k in (1, 2, 3, 4)]
    pairs = [{"fixed": names[0], "moving": name} for name in names[1:]]
    declared = {"modality": {"0": "T1", "1": "T1"}, "anatomy": "brain"}
    write_document(tmp_path, {"name": "M", "registration_val": pairs, **declared})
    assert run("check", tmp_path) == 2
    assert "error modality-hounsfield: sub-3_T1w.nii.gz" in capsys.readouterr().out
    assert run("plan", tmp_path, "-o", tmp_path / "plan.json", "--accept-guess") == 0
    said = capsys.readouterr().out
    assert "caution: " in said
    assert "in the data, the first: sub-3_T1w.nii.gz" in said


def test_an_archive_is_checked_without_unpacking(tmp_path, capsys):
    (tmp_path / "d.zip").write_bytes(b"PK broken")
    assert run("check", tmp_path / "d.zip") == 2
    assert "archive-broken" in capsys.readouterr().out
    assert run("check", tmp_path / "d.zip", "--fix", tmp_path / "fixed") == 2
    assert "is an archive" in capsys.readouterr().err
