"""The commands of planning, as a user types them, and plans run as MONAI's users run them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.bundle_runs import run_by_monai
from support.planning_data import nifti, write_document, write_learn2reg

from zoo import cli
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.hub.bundles import bundle_folder
from zoo.io.transforms import write_transform
from zoo.networks import GradICON, UniReg
from zoo.runtime.bundle import run_bundle

NETWORKS = {
    "unigradicon": lambda: GradICON(width=2),
    "multigradicon": lambda: GradICON(width=2),
    "unireg": lambda: UniReg(),
}


def run(*words):
    return cli.run([str(word) for word in words])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data sets") / "ü"
    folder.mkdir()
    write_learn2reg(folder, cases=(1,), contrasts=("ct", "ct"), shape=(34, 30, 32))
    document = json.loads((folder / "dataset.json").read_text())
    del document["training"], document["numTraining"]
    write_document(folder, {**document, "anatomy": "abdomen", "pairing": "inter"})
    return folder


def test_a_clean_dataset_checks_well(data, capsys):
    assert run("check", data) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_problems_are_printed_written_and_told_by_the_exit_code(tmp_path, capsys):
    nifti(tmp_path / "a.nii.gz", xyzt_units=1)
    write_document(tmp_path, {"registration_val": [{"fixed": "a.nii.gz", "moving": "b.nii.gz"}]})
    out, fixed = tmp_path / "p.json", tmp_path / "fixed"
    assert run("check", tmp_path, "--verify", "--out", out, "--fix", fixed) == 2
    printed = capsys.readouterr().out
    ids = {problem["id"] for problem in json.loads(out.read_text())}
    assert {"unit", "file-missing"} <= ids
    assert all(f"error {id}: " in printed for id in ("unit", "file-missing"))
    assert (fixed / "a.nii.gz").is_file()


def test_an_archive_is_checked_without_unpacking(tmp_path, capsys):
    (tmp_path / "d.zip").write_bytes(b"PK broken")
    assert run("check", tmp_path / "d.zip") == 2
    assert "archive-broken" in capsys.readouterr().out
    assert run("check", tmp_path / "d.zip", "--fix", tmp_path / "fixed") == 2
    assert "is an archive" in capsys.readouterr().err


def test_init_writes_once(tmp_path, capsys):
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii.gz")
    assert run("init", tmp_path) == 2
    assert "--modality.0" in capsys.readouterr().err
    assert run("init", tmp_path, "--modality.0", "mr", "--anatomy", "head") == 0
    document = json.loads((tmp_path / "dataset.json").read_text())
    assert document["registration_val"] == [{"fixed": "./a.nii.gz", "moving": "./b.nii.gz"}]
    assert document["anatomy"] == "head-neck"
    assert run("init", tmp_path, "--modality.0", "mr") == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "flags", "said"),
    [
        (("one_T1w", "two_T2w", "three_CT"), (), "several modalities: ct (three_CT.nii.gz), mr"),
        (
            ("sub-1_T1w", "sub-1_T2w", "sub-1_US"),
            (),
            "several modalities: mr (sub-1_T2w.nii.gz), us",
        ),
        (
            ("sub-1_T1w", "sub-1_T2w"),
            ("--modality.5", "ct"),
            "there is no slot 5 here, only 0 and 1",
        ),
    ],
)
def test_init_never_declares_what_is_not_so(tmp_path, names, flags, said, capsys):
    for name in names:
        nifti(tmp_path / f"{name}.nii.gz")
    code = run("init", tmp_path, *flags)
    error = capsys.readouterr().err
    assert code == 2, error
    assert said in error
    assert not (tmp_path / "dataset.json").exists()


def test_one_modality_in_several_sequences_is_one_slot(tmp_path):
    for name in ("sub-1_T1w", "sub-1_T2w", "sub-1_FLAIR"):
        nifti(tmp_path / f"{name}.nii.gz")
    assert run("init", tmp_path) == 0


@pytest.mark.parametrize("lost", ["choices", "model", "beliefs", "cautions", "name"])
def test_a_plan_that_lost_a_part_is_refused_in_one_line(data, tmp_path, lost, capsys):
    path = tmp_path / "plan.json"
    assert run("plan", data, "-o", path) == 0
    plan = json.loads(path.read_text())
    del plan["plan"][lost]
    path.write_text(json.dumps(plan))
    capsys.readouterr()
    for words in ((path, "--explain"), (path, "--set", "affine=none", "-o", tmp_path / "new.json")):
        assert run("plan", *words) == 2
        error = capsys.readouterr().err
        assert "is not a plan that this version can read" in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("lost", ["pairs", "anatomy", "pairing", "alignment", "content"])
def test_a_fingerprint_that_lost_a_part_is_no_traceback(data, tmp_path, lost, capsys):
    path = tmp_path / "fingerprint.json"
    assert run("fingerprint", data, "-o", path) == 0
    document = json.loads(path.read_text())
    del document[lost]
    path.write_text(json.dumps(document))
    capsys.readouterr()
    assert run("plan", path, "--explain") in (0, 2)
    assert capsys.readouterr().err.count("\n") <= 1


@pytest.mark.parametrize(
    "change", ["pairs=[]", "dataset_dir=elsewhere", "size={_target_: os.abort}"]
)
def test_a_changed_plan_can_be_read_again(data, tmp_path, change, capsys):
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    assert run("plan", data, "-o", first) == 0
    key = change.partition("=")[0]
    assert run("plan", first, "--set", change, "-o", second) == 2
    assert f"--set {key}" in capsys.readouterr().err
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
    ("words", "said"),
    [
        (["{data}"], "--out"),
        (["{data}", "--diff"], "two plans"),
        (["{data}", "{data}", "--explain"], "--diff"),
        (["{data}", "--explain", "--model", "none"], "not known"),
        (["{data}", "--explain", "--set", "affin=none"], "did you mean affine"),
        (["{data}", "--explain", "--memory", "lots"], "--memory 8GB"),
        (["{data}/nothing", "--explain"], "there is no file"),
    ],
)
def test_misuse_of_plan_is_one_line(data, words, said, capsys):
    assert run("plan", *(word.format(data=data) for word in words)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"affine": "$print(1)"},
        {"affine": " @run"},
        {"x": {"_target_": "os.system"}},
        {"network_def::_target_": "os.system"},
        {"network_def#_target_": "os.system"},
        {"+handlers": []},
        {"pairs": {"_target_": "os.system", "command": "true"}},
    ],
)
def test_a_plan_that_would_run_code_is_refused(data, tmp_path, change, capsys):
    path = tmp_path / "plan.json"
    assert run("plan", data, "-o", path) == 0
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    image = data / "imagesTr" / "Ph_0001_0000.nii.gz"
    assert run("register", image, image, "--out", tmp_path / "r", "--plan", path) == 2
    assert "which no plan of regzoo does" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_name_of_a_dataset_is_never_evaluated(tmp_path, capsys):
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii.gz")
    pair = {"fixed": "a.nii.gz", "moving": "b.nii.gz"}
    words = {"0": "$MR", "1": "@mr"}
    document = {"name": "%x::y", "modality": words, "registration_val": [pair]}
    write_document(tmp_path, document)
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


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained weights: enough to run a network's whole way, small enough for a test."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, make in NETWORKS.items():
        save_file(make().state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.mark.parametrize("model", ["mcbo", *NETWORKS])
def test_a_plan_runs_by_monai_bundle_run(model, data, weights, tmp_path):
    changes = ["--set", "report=false"]
    if model != "mcbo":
        changes += ["--set", f"weights={weights / model}.safetensors"]
        changes += ["--set", f"size={[40, 32, 48] if model == 'unireg' else [65, 65, 65]}"]
    plan = tmp_path / "plan.json"
    assert run("plan", data, "--model", model, *changes, "-o", plan) == 0
    result = run_by_monai(model, plan, tmp_path)
    assert result["model"] == model
    assert result["plan"]["name"] == "custom"
    if model == "unireg":
        assert (result["settings"]["region"], result["settings"]["type"]) == ("abdomen", "inter")


def test_a_plan_for_data_that_changed_since_stops_the_run(data, tmp_path):
    plan = tmp_path / "plan.json"
    assert run("plan", data, "-o", plan) == 0
    document = json.loads(plan.read_text())
    document["pairs"]["content"] = "0" * 64
    plan.write_text(json.dumps(document))
    with pytest.raises(UserError, match="has changed since its plan was made"):
        run_bundle(bundle_folder("mcbo"), {"output_dir": str(tmp_path)}, ["inference.json", plan])


def test_register_plans_the_pair_says_why_and_keeps_the_plan(data, tmp_path, capsys):
    images = [data / "imagesTr" / f"Ph_0001_000{k}.nii.gz" for k in (0, 1)]
    out = tmp_path / "out"
    assert run("register", *images, "--out", out, "--device", "cpu", "--report=false") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("mcbo: ")
    assert "not known: --anatomy" in printed
    plan = json.loads((out / "plan.json").read_text())
    beliefs = plan["plan"]["beliefs"]
    assert beliefs["modality.0 (fixed)"]["confidence"] == "certain"
    again = tmp_path / "again"
    words = ["--out", again, "--device", "cpu", "--report=false", "--plan", out / "plan.json"]
    assert run("register", *images, *words) == 0
    one, two = (json.loads((o / "result.json").read_text()) for o in (out, again))
    assert one["figures"] == two["figures"]


def test_register_stops_and_asks_if_it_may_not_guess(data, tmp_path, capsys):
    images = [data / "imagesTr" / f"Ph_0001_000{k}.nii.gz" for k in (0, 1)]
    words = ["--out", tmp_path / "out", "--accept-guess=false"]
    assert run("register", *images, *words) == 2
    assert "--anatomy brain" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_register_leaves_the_settings_that_a_user_names_and_weighs_them(data, weights, tmp_path):
    images = [data / "imagesTr" / f"Ph_0001_000{k}.nii.gz" for k in (0, 1)]
    words = ["--out", tmp_path, "--model", "unigradicon", "--report=false", "--device", "cpu"]
    words += ["--weights", weights / "unigradicon.safetensors", "--set", "size=[65, 65, 65]"]
    assert run("register", *images, *words, "--refine", "1") == 0
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert settings["refine"] == 1
    assert settings["crop"] is False


def test_register_takes_the_model_that_was_trained_on_such_pairs(data, weights, tmp_path, capsys):
    images = [data / "imagesTr" / f"Ph_0001_000{k}.nii.gz" for k in (0, 1)]
    words = ["--out", tmp_path, "--model", "unireg", "--anatomy", "chest", "--pairing", "inter"]
    words += ["--weights", weights / "unireg.safetensors", "--report=false", "--device", "cpu"]
    words += ["--set", "size=[40, 32, 48]"]
    assert run("register", *images, *words) == 0
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert (settings["region"], settings["type"]) == ("chest", "inter")


def test_nothing_is_planned_for_a_bundle_of_ones_own(data, tmp_path, capsys):
    image = data / "imagesTr" / "Ph_0001_0000.nii.gz"
    words = ["--bundle", bundle_folder("mcbo"), "--anatomy", "brain", "--out", tmp_path / "o"]
    assert run("register", image, image, *words) == 2
    assert "--bundle" in capsys.readouterr().err
