"""`--uncertainty N` writes an image of the standard deviation, and its figures."""

import csv
import json

import pytest
import torch
from benchmarks.cohorts import finished, write_dataset, write_plan
from support.command_line import refusal, run
from support.quick_registrations import SETTINGS, WORDS

import zoo
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


def test_the_uncertainty_is_written_and_the_transform_is_as_without_it(files, tmp_path):
    folder, _ = files
    out = tmp_path / "out"
    images = (folder / "fixed.nii.gz", folder / "moving.nii.gz")
    words = ["--device", "cpu", "--report=false", "--quiet", "--threads", "1", "--out", out]
    words += ["--affine", "none", *WORDS]
    assert run("register", *images, *words, "--uncertainty", "2") == 0
    result = json.loads((out / "result.json").read_text())
    assert "uncertainty.nii.gz" in result["files"]
    assert result["uncertainty"]["perturbations"] == 2
    found = read_volume(out / "uncertainty.nii.gz")
    assert found.grid.same_as(read_volume(images[0]).grid)
    assert 0 < float(found.data.mean()) < 10
    figures = result["figures"]
    assert 0 < figures["uncertainty_mm_mean"] < figures["uncertainty_mm_p95"]
    field = read_transform(out / "transform.nii.gz").field
    # A later registration into the same folder removes the uncertainty of the earlier one.
    assert run("register", *images, *words) == 0
    assert not (out / "uncertainty.nii.gz").exists()
    assert torch.equal(read_transform(out / "transform.nii.gz").field, field)


PAIR = "Phantom_0001_0000_Phantom_0001_0001"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A plan of one pair, and what `regzoo register --uncertainty 2` makes of it."""
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 1, 24)
    write_plan(folder / "plan.json", folder / "data", affine="none", report="light", **SETTINGS)
    images = [folder / "data/imagesTr" / f"Phantom_0001_000{k}.nii.gz" for k in (0, 1)]
    words = ["--plan", folder / "plan.json", "--out", folder / "one", "--uncertainty", "2"]
    assert run("register", *images, *words, "--quiet", "--threads", "1") == 0
    return folder


def test_each_pair_of_a_run_has_the_uncertainty_that_register_finds(study, tmp_path, capsys):
    folder = tmp_path / "run"
    words = ["run", study / "plan.json", "--out", folder, "--threads", "1", "--quiet"]
    assert run(*words) == 0
    without = finished(folder)
    assert run(*words, "--uncertainty", "2") == 0
    assert finished(folder) != without, "the pair is registered again, with its uncertainty"

    for name in ("uncertainty.nii.gz", "transform.nii.gz"):
        assert (folder / PAIR / name).read_bytes() == (study / "one" / name).read_bytes()
    figures = json.loads((folder / PAIR / "result.json").read_text())["figures"]
    alone = zoo.Registration(study / "one")
    for name in ("uncertainty_mm_mean", "uncertainty_mm_p95"):
        assert figures[name] == pytest.approx(alone.figures[name])
    assert alone.uncertainty.grid.same_as(alone.warped.grid)
    assert "Uncertainty" in (folder / PAIR / "report.html").read_text()

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["uncertainty"] == 2
    mean = figures["uncertainty_mm_mean"]
    assert summary["summary"]["uncertainty_mm_mean"]["mean"] == pytest.approx(mean)
    rows = list(csv.DictReader((folder / "summary.csv").open()))
    assert [float(row["uncertainty_mm_mean"]) for row in rows] == [pytest.approx(mean)]
    assert "Uncertainty, mean" in (folder / "report.html").read_text()

    # The same request keeps the result, and another number of perturbations does not.
    done = finished(folder)
    assert zoo.run(study / "plan.json", out=folder, threads=1, uncertainty=2).complete
    assert finished(folder) == done
    capsys.readouterr()
    assert run(*words[:-1], "--uncertainty", "3", "--dry-run") == 0
    assert "0 finished, 1 pending" in capsys.readouterr().out

    # A report that is written afterwards shows the uncertainty as well.
    (folder / PAIR / "report.html").unlink()
    assert run("report", folder / PAIR, "--kind", "light") == 0
    assert "Uncertainty" in (folder / PAIR / "report.html").read_text()


def test_a_registration_without_uncertainty_has_none(study, tmp_path):
    assert zoo.run(study / "plan.json", out=tmp_path, threads=1).complete
    assert zoo.Registration(tmp_path / PAIR).uncertainty is None


def test_fewer_than_two_perturbations_are_refused(files, tmp_path, capsys):
    folder, _ = files
    images = (folder / "fixed.nii.gz", folder / "moving.nii.gz")
    words = ["--out", tmp_path / "out", "--uncertainty", "1"]
    assert "at least 2" in refusal(capsys, "register", *images, *words)
    assert "at least 2" in refusal(capsys, "run", tmp_path / "plan.json", *words)
    assert not (tmp_path / "out").exists()
