"""Requests of a registration that cannot be meant are refused, and nothing is written."""

import numpy as np
import pytest
from support.command_line import refusal


def refused(capsys, images, folder, *words):
    message = refusal(capsys, "register", *images, "--out", folder / "result", *words)
    assert not (folder / "result").exists()
    return message


@pytest.fixture
def points(images, tmp_path):
    """A list of points far from the images."""
    np.savetxt(tmp_path / "far.csv", [[900, 0, 0], [910, 5, 5]], delimiter=",")
    return tmp_path / "far.csv"


@pytest.mark.parametrize("space", ["ras", "lps"])
def test_landmarks_of_which_none_is_in_the_image(images, points, tmp_path, space, capsys):
    words = ["--fixed-points", points, "--moving-points", points, "--points-space", space]
    words += ["--model", "mcbo", "--quiet"]
    message = refused(capsys, images, tmp_path, *words)
    assert "none of the 2 points of" in message
    assert ("900, 0, 0 mm" if space == "ras" else "-900, -0, 0 mm") in message


@pytest.mark.parametrize(("given", "missing"), [("fixed", "moving"), ("moving", "fixed")])
def test_landmarks_of_one_image(images, points, tmp_path, given, missing, capsys):
    message = refused(capsys, images, tmp_path, f"--{given}-points", points)
    assert f"--{missing}-points is missing" in message


def test_weights_for_a_model_without_any(images, tmp_path, capsys):
    words = ["--model", "mcbo", "--weights", "compact"]
    message = refused(capsys, images, tmp_path, *words)
    assert "--weights compact is for networks, and mcbo has no weights" in message


def test_a_folder_without_dicom_a_file_as_folder_and_a_plan_that_is_no_text(
    images, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    message = refused(capsys, [images[0], tmp_path / "empty"], tmp_path)
    assert "the folder contains no DICOM image" in message
    words = ["register", *images, "--out", images[0] / "result"]
    assert "is a file, not a folder; choose another --out" in refusal(capsys, *words)
    assert "it is not a text file" in refused(capsys, images, tmp_path, "--plan", images[0])


def test_a_mistyped_name_of_a_built_in_command(capsys):
    assert "did you mean help?" in refusal(capsys, "hepl")
