"""`regzoo plan` makes, changes, explains and compares plans; MONAI can run them."""

import json
from pathlib import Path

import monai.bundle
import pytest
import torch
from support.command_line import refusal, run
from support.planning_data import nifti, write_document

from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.hub.bundles import bundle_folder
from zoo.io.transforms import write_transform
from zoo.runtime.bundle import run_bundle


@pytest.mark.parametrize("lost", ["choices", "model", "beliefs", "cautions", "name"])
def test_a_plan_with_a_missing_part_is_refused(data, tmp_path, lost, capsys):
    path = tmp_path / "plan.json"
    assert run("plan", data, "-o", path) == 0
    plan = json.loads(path.read_text())
    del plan["plan"][lost]
    path.write_text(json.dumps(plan))
    for words in ((path, "--explain"), (path, "--set", "affine=none", "-o", tmp_path / "new.json")):
        assert f"{path} is not a plan that this version can read" in refusal(capsys, "plan", *words)


@pytest.mark.parametrize(
    "change", ["pairs=[]", "dataset_dir=elsewhere", "size={_target_: os.abort}"]
)
def test_a_change_that_a_plan_cannot_hold_is_refused(data, tmp_path, change, capsys):
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    assert run("plan", data, "-o", first) == 0
    key = change.partition("=")[0]
    assert f"--set {key}" in refusal(capsys, "plan", first, "--set", change, "-o", second)
    assert not second.exists()


def test_a_plan_names_an_affine_file_from_any_folder(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_transform("own.tfm", Transform(torch.eye(4)), None)
    assert run("plan", data, "--set", "affine=own.tfm", "-o", "plan.json") == 0
    assert json.loads(Path("plan.json").read_text())["affine"] == str(tmp_path / "own.tfm")


def test_from_dataset_to_fingerprint_to_plan_to_another_plan(data, tmp_path, capsys):
    fingerprint, first, second = (tmp_path / f"{n}.json" for n in ("f", "one", "two"))
    assert run("fingerprint", data, "-o", fingerprint) == 0
    assert run("plan", fingerprint, "-o", first) == 0
    assert run("plan", data, "-o", tmp_path / "direct.json") == 0
    assert json.loads(first.read_text()) == json.loads((tmp_path / "direct.json").read_text())
    assert run("plan", first, "--set", "affine=rigid", "--name", "stiff", "-o", second) == 0
    capsys.readouterr()
    assert run("plan", "--diff", first, second) == 0
    assert capsys.readouterr().out.startswith('affine: "auto" -> "rigid"')
    assert run("plan", second, "--explain") == 0
    assert "plan stiff: mcbo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{data}"], "add --out FILE"),
        (["{data}", "--diff"], "--diff compares two plans"),
        (["{data}", "{data}", "--explain"], "add --diff"),
        (["{data}", "--explain", "--model", "none"], "there is no model 'none'"),
        (["{data}", "--explain", "--set", "affin=none"], "did you mean affine"),
        (["{data}", "--explain", "--memory", "lots"], "--memory 8GB"),
        (["{data}/nothing", "--explain"], "there is no file"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(data, words, message, capsys):
    assert message in refusal(capsys, "plan", *(word.format(data=data) for word in words))


def test_a_plan_is_not_planned_again(data, tmp_path, capsys):
    path = tmp_path / "plan.json"
    assert run("plan", data, "-o", path) == 0
    error = refusal(capsys, "plan", path, "--anatomy", "brain", "-o", tmp_path / "new.json")
    assert "is a plan already" in error


def test_a_name_that_monai_would_evaluate_is_refused(tmp_path, capsys):
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii.gz")
    pair = {"fixed": "a.nii.gz", "moving": "b.nii.gz"}
    words = {"0": "$MR", "1": "@mr"}
    document = {"name": "%x::y", "modality": words, "registration_val": [pair]}
    write_document(tmp_path, document)
    command = "plan", tmp_path, "--accept-guess", "-o", tmp_path / "plan.json"
    assert "%x::y" in refusal(capsys, *command)
    write_document(tmp_path, document | {"name": "harmless"})
    assert "$MR" in refusal(capsys, *command)
    assert not (tmp_path / "plan.json").exists()


def test_a_plan_holds_only_two_references(tmp_path):
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii.gz")
    pair = {"fixed": "a.nii.gz", "moving": "b.nii.gz"}
    write_document(tmp_path, {"name": "x", "modality": {"0": "MR"}, "registration_val": [pair]})
    assert run("plan", tmp_path, "--accept-guess", "-o", tmp_path / "plan.json") == 0
    texts = json.loads((tmp_path / "plan.json").read_text())
    assert texts["pairs"].pop("folder") == "@dataset_dir"
    assert texts["pairs"].pop("split") == "@split"
    assert not [t for t in _texts(texts) if t.startswith(("$", "@", "%"))]


def _texts(value):
    if isinstance(value, str):
        return [value]
    children = value.values() if isinstance(value, dict) else value
    return [t for c in children for t in _texts(c)] if isinstance(value, (dict, list)) else []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mcbo", "unigradicon", "multigradicon", "unireg"])
def test_a_plan_runs_by_monai_bundle_run(model, data, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    changes = ["--set", "report=false"]
    if model != "mcbo":
        changes += ["--set", f"weights={weights / model}.safetensors"]
        changes += ["--set", f"size={[40, 32, 48] if model == 'unireg' else [65, 65, 65]}"]
        changes += ["--set", "refine=1"]
    plan = tmp_path / "plan.json"
    assert run("plan", data, "--model", model, *changes, "-o", plan) == 0
    configs = [str(bundle_folder(model) / "configs" / "inference.json"), str(plan)]
    monai.bundle.run(config_file=configs, output_dir=str(tmp_path / "out"), device="cpu")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["model"] == model
    assert result["plan"]["name"] == "custom"
    if model == "unireg":
        assert (result["settings"]["region"], result["settings"]["type"]) == ("abdomen", "inter")


def test_a_plan_for_data_that_changed_since_stops_the_run(data, tmp_path):
    plan = tmp_path / "plan.json"
    assert run("plan", data, "-o", plan) == 0
    document = json.loads(plan.read_text())
    document["pairs"]["content"] = document["plan"]["content"] = "0" * 64
    plan.write_text(json.dumps(document))
    with pytest.raises(UserError, match="has changed since its plan was made"):
        run_bundle(bundle_folder("mcbo"), {"output_dir": str(tmp_path)}, ["inference.json", plan])
