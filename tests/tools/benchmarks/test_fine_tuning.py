"""The benchmark of fine-tuning never trains on what it measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.fine_tuning import SUBJECTS, brains, link_or_copy


@pytest.mark.parametrize("left_out", SUBJECTS)
def test_the_subject_left_out_is_never_trained_on(left_out):
    rows = list(brains(Path("data"), left_out))
    train = [row for row in rows if row[-1] == "train"]
    measured = [row for row in rows if row[-1] == "val"]
    assert len(train) == len(measured) == 2
    assert all(left_out not in str(path) for row in train for path in row[:4])
    assert all(left_out in row[0].name and left_out in row[2].name for row in measured)
    assert all(left_out not in row[1].name for row in measured)


def test_a_file_is_linked_into_the_study_once(tmp_path):
    source = tmp_path / "a.nii.gz"
    source.write_bytes(b"x")
    study = tmp_path / "study"
    study.mkdir()
    assert link_or_copy(source, study) == link_or_copy(source, study) == "a.nii.gz"
    assert (study / "a.nii.gz").read_bytes() == b"x"
