"""`regzoo register --uncertainty N` writes an image of the standard deviation, and its figures."""

import json

import torch
from support.command_line import refusal, run

from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume


def test_the_uncertainty_is_written_and_the_transform_is_as_without_it(files, tmp_path):
    folder, _ = files
    out = tmp_path / "out"
    images = (folder / "fixed.nii.gz", folder / "moving.nii.gz")
    words = ["--device", "cpu", "--report=false", "--quiet", "--threads", "1", "--out", out]
    words += ["--affine", "none"]
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


def test_fewer_than_two_perturbations_are_refused(files, tmp_path, capsys):
    folder, _ = files
    images = (folder / "fixed.nii.gz", folder / "moving.nii.gz")
    words = ["--out", tmp_path / "out", "--uncertainty", "1"]
    assert "at least 2" in refusal(capsys, "register", *images, *words)
    assert not (tmp_path / "out").exists()
