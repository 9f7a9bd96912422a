"""`regzoo register --guide points` reports the error of the landmarks that did not steer."""

import json

import numpy as np
import pytest
import torch
from support.command_line import refusal, run

from zoo.hub.bundles import bundle_folder
from zoo.io.transforms import read_transform

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


def test_the_landmark_error_is_that_of_the_held_out_landmarks(files, tmp_path, capsys):
    folder, pair = files
    out = tmp_path / "out"
    np.savetxt(tmp_path / "f.csv", pair.fixed_points.numpy(), delimiter=",")
    np.savetxt(tmp_path / "m.csv", pair.moving_points.numpy(), delimiter=",")
    images = (folder / "fixed.nii.gz", folder / "moving.nii.gz")
    words = ["--out", out, "--device", "cpu", "--report=false", "--guide", "points"]
    points = ["--fixed-points", tmp_path / "f.csv", "--moving-points", tmp_path / "m.csv"]
    assert run("register", *images, *words, *points) == 0
    result = json.loads((out / "result.json").read_text())
    guide = result["guide"]
    assert guide["held_out"] == len(pair.fixed_points) // 5
    assert guide["held_out_error_mm_after"] < 0.5 * guide["held_out_error_mm_before"]
    transform = read_transform(out / "transform.nii.gz")
    error = (transform.map_points(pair.fixed_points) - pair.moving_points).norm(dim=1)
    assert float(torch.quantile(error, 0.9)) < 1.5
    assert result["figures"]["tre_mm_after"] == pytest.approx(
        guide["held_out_error_mm_after"], abs=0.05
    )
    assert "add --fixed-points" in refusal(capsys, "register", *images, *words)
    words[-1] = "labels"
    assert "add --fixed-labels" in refusal(capsys, "register", *images, *words)
    assert "add --model mcbo" in refusal(
        capsys, "register", *images, *words, "--bundle", bundle_folder("mcbo")
    )
