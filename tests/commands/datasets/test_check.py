"""`regzoo check` reports every problem of a dataset, and its exit code."""

import json

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


def test_an_archive_is_checked_without_unpacking(tmp_path, capsys):
    (tmp_path / "d.zip").write_bytes(b"PK broken")
    assert run("check", tmp_path / "d.zip") == 2
    assert "archive-broken" in capsys.readouterr().out
    assert run("check", tmp_path / "d.zip", "--fix", tmp_path / "fixed") == 2
    assert "is an archive" in capsys.readouterr().err
