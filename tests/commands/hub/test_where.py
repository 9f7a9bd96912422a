"""`regzoo where` shows the paths of a model, and its references."""

import json
from pathlib import Path

import pytest
from support.command_line import refusal, run

from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.catalogue import find_model


@pytest.mark.parametrize("name", bundle_names())
def test_the_paths_of_every_model_exist_and_its_paper_is_named(name, capsys):
    assert run("where", name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["bundle"]).samefile(bundle_folder(name))
    assert set(found["weights"]) == set(find_model(name).variants)
    assert all(path is None or Path(path).is_file() for path in found["weights"].values())
    card = (bundle_folder(name) / "docs" / "README.md").read_text()
    for number in find_model(name).arxiv:
        assert number in " ".join(found["citation"])
        assert number in card
    assert found["citation"]


def test_weights_that_are_missing_are_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert run("where", "unireg") == 0
    printed = capsys.readouterr().out
    assert "weights official: not on this computer" in printed
    assert "model_compact.safetensors" in printed
    assert "cite: Li et al., UniReg" in printed


def test_an_unknown_model_is_refused(capsys):
    assert "uniregg" in refusal(capsys, "where", "uniregg")
