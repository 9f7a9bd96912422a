"""Settings that name files."""

import pytest
import torch

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.pipelines.settings import resolve_settings


def test_files_get_absolute_paths_and_other_settings_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_transform("own.tfm", Transform(torch.eye(4)), None)
    settings = {"affine": "own.tfm", "preset": "preset.json", "refine": 3, "mode": None}
    assert resolve_settings(settings) == {
        "affine": str(tmp_path / "own.tfm"),
        "preset": str(tmp_path / "preset.json"),
        "refine": 3,
        "mode": None,
    }
    assert settings["affine"] == "own.tfm"
    assert resolve_settings(None) == {}


def test_an_alignment_that_is_neither_a_file_nor_a_kind_is_refused():
    with pytest.raises(UserError, match="rigidd"):
        resolve_settings({"affine": "rigidd"})
