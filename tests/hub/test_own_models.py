"""Models of one's own are found by folder and by name; the record of their folders is robust."""

import json
import subprocess
import sys

import pytest

from zoo.commands.hub.models import models
from zoo.errors import UserError
from zoo.hub.own_models import (
    RECORD_VARIABLE,
    check_own_name,
    find_own_model,
    record_own_model,
    record_path,
    recorded_folders,
)


@pytest.fixture(autouse=True)
def record(tmp_path, monkeypatch):
    """An empty record, and an empty folder as the current one."""
    path = tmp_path / "record ü" / "models.json"
    monkeypatch.setenv(RECORD_VARIABLE, str(path))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return path


def write_bundle(folder, **settings):
    """Write a bundle of mcbo with settings of its own."""
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(settings))
    metadata = {"trained": {"model": "mcbo", "start": {"variant": "accurate settings"}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_a_recorded_model_is_found_by_its_name_and_any_by_its_folder(tmp_path):
    folder = write_bundle(tmp_path / "a" / "mine", mode="paper", spacing=2)
    record_own_model(folder)
    for wanted in ("mine", folder, str(folder), "../a/mine"):
        found = find_own_model(wanted)
        assert (found.name, found.model) == ("mine", "mcbo")
        assert found.folder.resolve() == folder.resolve()
        assert found.settings == {"mode": "paper", "spacing": 2}
    assert find_own_model(write_bundle(tmp_path / "unrecorded")).name == "unrecorded"


def test_a_bundle_in_the_current_folder_needs_no_record(tmp_path):
    write_bundle(tmp_path / "here" / "mine", mode="paper")
    assert find_own_model("mine").settings == {"mode": "paper"}


def test_a_name_of_two_folders_is_refused_with_both(tmp_path):
    first, second = (write_bundle(tmp_path / k / "mine") for k in "ab")
    record_own_model(first)
    record_own_model(second)
    with pytest.raises(UserError, match="give the folder instead of the name") as error:
        find_own_model("mine")
    assert str(first) in str(error.value)
    assert str(second) in str(error.value)
    assert find_own_model(second).folder == second
    write_bundle(tmp_path / "here" / "lone")
    record_own_model(write_bundle(tmp_path / "c" / "lone"))
    with pytest.raises(UserError, match="2 models called 'lone'"):
        find_own_model("lone")
    assert find_own_model("./lone").folder == tmp_path / "here" / "lone"


def test_a_model_of_the_package_keeps_its_name(tmp_path):
    record_own_model(write_bundle(tmp_path / "here" / "unireg"))
    assert find_own_model("unireg") is None
    with pytest.raises(UserError, match="unireg is a model of regzoo"):
        check_own_name(tmp_path / "unireg")
    check_own_name(tmp_path / "unireg2")


def test_a_misspelt_name_gets_the_nearest_of_all_models(tmp_path):
    record_own_model(write_bundle(tmp_path / "knees-2026"))
    with pytest.raises(UserError, match=r"no model 'knes-2026' \(did you mean knees-2026\?\)"):
        find_own_model("knes-2026")
    with pytest.raises(UserError, match=r"did you mean unigradicon\?"):
        find_own_model("unigradicn")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("../gone", "there is no folder .*gone"),
        ("x" * 5000, "there is no model 'xxx"),
        ("y/" * 3000, "there is no folder"),
        ("../half", "training in .*half has not finished; run the same regzoo finetune"),
        ("../empty", "is not a bundle: there is no .*inference.json"),
        ("../program", "is more than data, so it is not run: .*run is neither a setting"),
    ],
)
def test_a_folder_without_a_usable_bundle_is_refused(tmp_path, wanted, message):
    (tmp_path / "half" / "train").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "program", run=["$print('run')"])
    with pytest.raises(UserError, match=message):
        find_own_model(wanted)


def test_a_model_that_was_moved_is_named_and_dropped_by_the_next_record(tmp_path, capsys):
    old = write_bundle(tmp_path / "old")
    record_own_model(old)
    old.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"'old' was in .* and is gone; give the folder it is"):
        find_own_model("old")
    models()
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("old"))
    assert row.split()[1] == "missing"
    record_own_model(tmp_path / "moved")
    assert recorded_folders() == [tmp_path / "moved"]
    models()
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("moved"))
    assert row.split() == ["moved", "mcbo", "accurate", "settings", str(tmp_path / "moved")]


def test_models_recorded_at_once_are_all_listed(tmp_path):
    folders = [write_bundle(tmp_path / f"m{k}") for k in range(4)]
    code = "import sys; from pathlib import Path; from zoo.hub.own_models import record_own_model"
    code += "; [record_own_model(Path(p)) for p in sys.argv[1:]]"
    started = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, part)])
        for part in (folders[:2], folders[2:])
    ]
    assert [process.wait() for process in started] == [0, 0]
    assert sorted(recorded_folders()) == folders
    record_own_model(folders[0])
    assert sorted(recorded_folders()) == folders


@pytest.mark.parametrize("text", ["{", "[]", '{"folders": [1]}', '{"folders": "a"}'])
def test_a_damaged_record_is_named_and_folders_work_without_it(tmp_path, record, text):
    record.parent.mkdir()
    record.write_text(text)
    folder = write_bundle(tmp_path / "mine")
    with pytest.raises(UserError, match=r"models\.json"):
        find_own_model("mine")
    assert find_own_model(folder).name == "mine"
    assert find_own_model("mcbo") is None


def test_a_record_that_cannot_be_written_is_named_with_the_variable(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path / "file" / "models.json"))
    with pytest.raises(UserError, match=f"cannot write .*; set {RECORD_VARIABLE}"):
        record_own_model(write_bundle(tmp_path / "mine"))


def test_without_the_variable_the_record_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(RECORD_VARIABLE)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    assert record_path() == tmp_path / "home" / "regzoo" / "models.json"
