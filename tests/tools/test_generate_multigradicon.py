"""The configs of multiGradICON are generated from those of uniGradICON."""

import shutil

import generate_multigradicon as tool
import pytest


def test_the_generated_configs_are_up_to_date():
    assert tool.main(["--check"]) == 0


def test_a_change_of_the_source_is_reported_and_then_generated(tmp_path, monkeypatch, capsys):
    for model in (tool.SOURCE, tool.TARGET):
        shutil.copytree(tool.BUNDLES / model / "configs", tmp_path / model / "configs")
    monkeypatch.setattr(tool, "BUNDLES", tmp_path)
    source = tmp_path / tool.SOURCE / "configs" / "train.yaml"
    source.write_text(source.read_text().replace("epochs: 10\n", "epochs: 11\n"))
    assert tool.main(["--check"]) == 1
    assert "train.yaml is out of date" in capsys.readouterr().out
    assert tool.main([]) == 0
    text = (tmp_path / tool.TARGET / "configs" / "train.yaml").read_text()
    assert "epochs: 11\n" in text
    assert "model: multigradicon\n" in text
    assert "similarity: lncc2\n" in text
    assert tool.main(["--check"]) == 0


def test_a_source_without_the_default_similarity_is_refused(tmp_path, monkeypatch):
    shutil.copytree(tool.BUNDLES / tool.SOURCE / "configs", tmp_path / tool.SOURCE / "configs")
    monkeypatch.setattr(tool, "BUNDLES", tmp_path)
    source = tmp_path / tool.SOURCE / "configs" / "train.yaml"
    source.write_text(source.read_text().replace("similarity: lncc\n", "similarity: mind\n"))
    with pytest.raises(ValueError, match="has 0 settings"):
        tool.generated("train.yaml")
