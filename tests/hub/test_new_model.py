"""A new model needs only its bundle: the example in writing-a-bundle.md is added to the zoo."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import zoo
from zoo import cli
from zoo.geometry import Grid
from zoo.hub import bundles
from zoo.io.transforms import read_transform
from zoo.io.volume import write_volume
from zoo.planning.presets import find_preset

DOCS = Path(zoo.__file__).resolve().parent.parent / "docs"
FILES = ("toy_model.py", "configs/inference.json", "configs/metadata.json", "spec.yaml")
SHIFT = (3, -2, 1)  # voxels of 2 mm


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The bundle from the code blocks of the page, in a folder that is searched for bundles."""
    (page,) = DOCS.rglob("writing-a-bundle.md")
    blocks = re.findall(r"```(?:python|json|yaml)\n(.*?)```", page.read_text(), re.DOTALL)
    folder = tmp_path / "bundles" / "toy"
    (folder / "configs").mkdir(parents=True)
    for name, text in zip(FILES, blocks, strict=True):
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    packaged = bundles.search_folders()
    monkeypatch.setattr(bundles, "search_folders", lambda: (*packaged, folder.parent))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture
def command(tmp_path):
    """The command for a ball and the same ball moved by `SHIFT`, declared as prostates in MR."""
    grid = Grid((24, 24, 24), torch.diag(torch.tensor([2.0, 2, 2, 1], dtype=torch.float64)))
    axes = torch.stack(torch.meshgrid(*[torch.arange(24.0)] * 3, indexing="ij"))
    for name, shift in (("fixed", (0, 0, 0)), ("moving", SHIFT)):
        centre = torch.tensor([11.0 + s for s in shift])[:, None, None, None]
        ball = 1000 * torch.exp(-((axes - centre) ** 2).sum(0) / 18)
        write_volume(tmp_path / f"{name}.nii.gz", ball, grid)
    files = [str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")]
    facts = ["--anatomy", "prostate", "--modality.0", "mr", "--modality.1", "mr"]
    settings = ["--affine", "none", "--report=false", "--device", "cpu"]
    return ["register", *files, "--out", str(tmp_path / "out"), *facts, *settings]


def test_the_model_is_planned_and_registers_a_pair(toy, command, tmp_path):
    assert cli.run(command) == 0
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())["plan"]
    assert (plan["model"], plan["preset"]) == ("toy", "prostate/mr-mr/any")
    assert "shifts one prostate onto another" in plan["choices"]["model"]["because"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["model"] == "toy"
    transform = read_transform(tmp_path / "out" / "transform.nii.gz")
    expected = 2 * torch.tensor(SHIFT, dtype=transform.field.dtype)
    difference = transform.field - expected[:, None, None, None]
    assert difference.abs().max() < 0.05


def test_the_model_is_in_every_list(toy, capsys):
    assert cli.run(["models"]) == 0
    assert re.search(r"^toy +none needed +yes", capsys.readouterr().out, re.MULTILINE)
    assert find_preset("prostate", "mr-mr", "intra").models == ("toy", "mcbo")
    assert find_preset("knee", "mr-mr", None).models == ("unigradicon", "multigradicon", "mcbo")


def test_its_memory_is_not_measured(toy, command, capsys):
    assert cli.run([*command, "--memory", "8GB"]) == 2
    assert "the memory of toy was not measured" in capsys.readouterr().err


def test_without_its_folder_it_is_unknown(command, capsys):
    assert cli.run([*command, "--model", "toy"]) == 2
    assert "'toy'" in capsys.readouterr().err
