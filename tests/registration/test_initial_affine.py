"""The setting affine is a kind of alignment to search for or a file, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.registration.initial_affine import KINDS, read_given_affine, with_absolute_paths

MATRIX = torch.tensor(
    [[1.0, 0.1, 0, 5], [-0.1, 1.1, 0, -7], [0, 0.05, 0.9, 3], [0, 0, 0, 1]], dtype=torch.float64
)


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_transform("own.mat", Transform(MATRIX), None)
    return tmp_path / "own.mat"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_not_taken_for_a_file_of_the_same_name(own, kind):
    Path(kind).write_text("not a transform")
    assert with_absolute_paths({"affine": kind, "refine": 3}) == {"affine": kind, "refine": 3}
    assert read_given_affine(kind) is None


@pytest.mark.parametrize("as_name", [str, Path])
def test_the_path_of_a_file_becomes_absolute_and_the_file_is_read(own, as_name):
    assert with_absolute_paths({"affine": as_name("own.mat")}) == {"affine": str(own)}
    assert torch.allclose(read_given_affine(as_name("own.mat")), MATRIX, atol=1e-9)


@pytest.mark.parametrize("settings", [{}, {"affine": None}])
def test_settings_without_the_key_are_unchanged(settings):
    assert with_absolute_paths(settings) == settings


@pytest.mark.parametrize(
    "wrong", ["afine", "none.mat", "$print(1)", "x" * 5000, 3, True, ["own.mat"], MATRIX, ""]
)
def test_anything_else_is_refused_with_the_allowed_values(own, wrong):
    for refuse in (
        lambda: with_absolute_paths({"affine": wrong}),
        lambda: read_given_affine(wrong),
    ):
        with pytest.raises(
            UserError, match="is not a file and not one of auto, none, com, rigid, affine"
        ):
            refuse()
