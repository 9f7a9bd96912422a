"""A short form of `python tools/fuzz.py`, with fixed seeds."""

from pathlib import Path

import pytest
from fuzz import Outcome, fuzz, make_case, read_case
from fuzzing import readers
from fuzzing.samples import SAMPLES

CASES = 510


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_valid(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(SAMPLES[name]())
    assert readers.READERS[name](path)


def test_damaged_files_are_refused_or_read_correctly(tmp_path):
    outcomes = list(fuzz(1, range(CASES), tmp_path))
    assert [o for o in outcomes if o.is_finding] == []
    kinds = {(o.name, o.kind) for o in outcomes}
    assert kinds >= {(name, "refused") for name in SAMPLES}
    assert sum(o.kind == "accepted" for o in outcomes) > 50


def test_cases_are_reproducible():
    assert [make_case(3, n) for n in range(40)] == [make_case(3, n) for n in range(40)]
    assert make_case(3, 0) != make_case(4, 0)


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (lambda path: 1 / 0, "traceback"),
        (lambda path: readers._require(False, "two shapes"), "wrong acceptance"),
        (lambda path: readers.read_volume(Path("elsewhere.nii")), "bad message"),
    ],
)
def test_faults_of_a_reader_are_findings(tmp_path, monkeypatch, reader, kind):
    monkeypatch.setitem(readers.READERS, "volume.nii", reader)
    outcome = read_case(0, 0, tmp_path)
    assert (outcome.name, outcome.kind) == ("volume.nii", kind)
    assert outcome.is_finding
    assert not Outcome(0, "volume.nii", "refused").is_finding
