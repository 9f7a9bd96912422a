"""The third use of the README: a model of one's own is trained, run and evaluated by its name."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from support.command_line import refusal, run
from support.train_cases import write_images

from zoo.hub.bundles import bundle_folder
from zoo.hub.own_models import RECORD_VARIABLE
from zoo.hub.weights import sha256_of

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

SIZE = [16, 24, 16]
TRAINING = ["--from", "start.safetensors", "--steps", "4", "--set", "learning_rate=0.0003"]
TRAINING += ["--set", f"size={SIZE}", "--set", "affine=none", "--device", "cpu"]


@pytest.fixture(scope="module", autouse=True)
def study(tmp_path_factory):
    """A dataset, its plan, a model trained on it, and the plan that the training started from."""
    root = tmp_path_factory.mktemp("study ü")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RECORD_VARIABLE, str(root / "models.json"))
        patch.chdir(root)
        write_images(root / "data", shape=(20, 24, 18), paired=True)
        write_weaker_weights(root / "start.safetensors")
        words = ["plan", "data", "--model", "unireg", "--anatomy", "abdomen", "--pairing", "inter"]
        assert run(*words, "-o", "plan.json") == 0
        assert run("finetune", "plan.json", "--out", "my_model", *TRAINING) == 0
        changes = ["--set", f"weights={root / 'start.safetensors'}"]
        changes += ["--set", f"size={SIZE}", "--set", "affine=none"]
        assert run("plan", "plan.json", *changes, "--name", "start", "-o", "start.json") == 0
        yield root


def write_weaker_weights(path):
    """Write the compact weights with smaller convolutions of the fields, for steps to improve.

    The compact weights themselves may already be the best for the pair of the validation.
    """
    weights = load_file(bundle_folder("unireg") / "models" / "model_compact.safetensors")
    save_file({k: t * 0.8 if "controller" in k else t for k, t in weights.items()}, path)


@pytest.fixture
def trained(study):
    return read(study / "my_model" / "configs" / "metadata.json")["trained"]


@pytest.fixture
def images(study):
    return [study / "data" / "imagesTr" / f"Ph_000{k}_0000.nii.gz" for k in (2, 3)]


def read(path):
    return json.loads(path.read_text())


def result_of(folder):
    """Return the result of the only pair of a run."""
    (path,) = folder.glob("*/result.json")
    return read(path)


def test_the_run_of_the_new_plan_has_the_figures_of_the_trained_weights(
    study, trained, tmp_path, capsys
):
    dice = {}
    for name, plan in (("mine", "my_model/plan.json"), ("start", "start.json")):
        out = tmp_path / name
        assert run("run", study / plan, "--out", out, "--device", "cpu") == 0
        assert "weights: those of the plan (sha256 " in capsys.readouterr().out
        assert run("evaluate", out) == 0
        dice[name] = read(out / "figures.json")["summary"]["dice_after"]["mean"]
        weights = read(out / "summary.json")["weights"]
        assert weights["as_planned"] is True
        assert "weights: those of the plan" in (out / "report.html").read_text()
    used = result_of(tmp_path / "mine")["weights"]
    assert used["sha256"] == trained["sha256"] != result_of(tmp_path / "start")["weights"]["sha256"]
    assert used["sha256"] == sha256_of(study / "my_model" / "models" / "model.safetensors")
    assert trained["best_step"] > 0
    assert dice["mine"] == pytest.approx(trained["figures_after"]["dice_after"])
    assert dice["start"] == pytest.approx(trained["figures_before"]["dice_after"])
    assert dice["mine"] > dice["start"]
    assert run("compare", tmp_path / "mine", tmp_path / "start") == 0
    assert "the model my_model has no run in" in refusal(capsys, "evaluate", "my_model")
    inside = study / "my_model" / "plan-val"
    shutil.copytree(tmp_path / "mine", inside)
    for model in ("my_model", study / "my_model"):
        (inside / "figures.json").unlink(missing_ok=True)
        assert run("evaluate", model) == 0
        by_model, by_folder = (read(f / "figures.json") for f in (inside, tmp_path / "mine"))
        assert by_model["summary"] == by_folder["summary"]
        assert run("compare", model, tmp_path / "start") == 0
    shutil.copytree(inside, study / "my_model" / "plan-test")
    assert "has 2 runs in" in refusal(capsys, "compare", "my_model", tmp_path / "start")
    for name in ("plan-val", "plan-test"):
        shutil.rmtree(study / "my_model" / name)


def test_a_dataset_is_planned_with_the_model_by_name_from_another_folder(
    study, trained, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert run("plan", study / "data", "-o", "mine.json", "--model", "my_model") == 0
    assert f"requested with --model my_model, a unireg in {study / 'my_model'}" in (
        capsys.readouterr().out
    )
    plan = read(tmp_path / "mine.json")
    assert plan["weights"] == str(study / "my_model" / "models" / "model.safetensors")
    assert plan["plan"]["weights"] == {"variant": "own", "sha256": trained["sha256"]}
    assert plan["size"] == SIZE
    assert (plan["region"], plan["type"]) == ("abdomen", "inter")
    assert plan["affine"] == "auto"  # chosen from the images, and not taken from the model
    assert plan["plan"]["choices"]["size"]["rule"] == "model.own"
    assert run("run", "mine.json", "--device", "cpu") == 0
    result = result_of(tmp_path / "mine-val")
    assert result["weights"]["sha256"] == trained["sha256"]
    assert result["plan"]["why"].startswith("requested with --model my_model")
    words = ["--set", "size=[24,24,24]", "--name", "larger", "-o", "larger.json"]
    assert run("plan", study / "data", "--model", "my_model", *words) == 0
    assert read(tmp_path / "larger.json")["size"] == [24, 24, 24]
    assert read(tmp_path / "larger.json")["weights"] == plan["weights"]


def test_a_run_takes_the_model_instead_of_that_of_its_plan(study, trained, capsys):
    assert run("run", study / "start.json", "--model", "my_model", "--device", "cpu") == 0
    folder = study / "start-my_model-val"
    assert read(folder / "summary.json")["weights"] == {
        "planned": trained["sha256"], "used": [trained["sha256"]], "as_planned": True,
    }  # fmt: skip
    error = refusal(capsys, "run", study / "start.json", "--model", "unireg")
    assert "plan the dataset with it: regzoo plan DATASET --model unireg" in error


@pytest.mark.parametrize("by", ["name", "folder"])
def test_a_pair_is_registered_and_its_plan_gives_the_same_again(
    study, trained, images, tmp_path, by
):
    model = "my_model" if by == "name" else study / "my_model"
    words = ["register", *images, "--device", "cpu", "--report=false"]
    assert run(*words, "--out", tmp_path / "a", "--model", model) == 0
    again = ["--out", tmp_path / "b", "--plan", tmp_path / "a" / "plan.json"]
    assert run(*words, *again) == 0
    one, two = (read(tmp_path / k / "result.json") for k in "ab")
    assert one["weights"]["sha256"] == two["weights"]["sha256"] == trained["sha256"]
    assert one["settings"]["size"] == SIZE
    assert (tmp_path / "a/transform.nii.gz").read_bytes() == (
        tmp_path / "b/transform.nii.gz"
    ).read_bytes()


def test_the_plan_of_a_pair_names_the_weights_of_the_command(study, images, tmp_path):
    weights = study / "my_model" / "models" / "model.safetensors"
    words = ["--model", "unireg", "--weights", weights, "--report=false", "--device", "cpu"]
    words += ["--anatomy", "abdomen", "--pairing", "inter", "--set", f"size={SIZE}"]
    assert run("register", *images, "--out", tmp_path, *words) == 0
    assert read(tmp_path / "plan.json")["weights"] == str(weights)


def test_conditions_are_explained_with_the_model(study, trained, images, tmp_path, capsys):
    words = ["explain", *images, "--out", tmp_path / "why", "--set", "affine=none"]
    words += ["--condition", "inter:abdomen", "--condition", "intra:liver", "--device", "cpu"]
    assert run(*words, "--model", "my_model") == 0
    own = read(tmp_path / "why" / "conditions.json")["inter:abdomen"]["figures"]["sd_log_jacobian"]
    weights = ["--weights", study / "start.safetensors"]
    assert run(*words, *weights, "--set", f"size={SIZE}") == 0
    start = read(tmp_path / "why" / "conditions.json")["inter:abdomen"]["figures"]
    assert own != start["sd_log_jacobian"]
    assert "takes no conditions" in refusal(capsys, *words, "--model", "mcbo")


def test_a_model_is_experimental_only_for_pairs_other_than_those_of_its_training(study, tmp_path):
    def experimental(plan):
        cautions = read(plan)["plan"]["cautions"]
        return [caution for caution in cautions if caution.startswith("experimental")]

    preset = read(study / "plan.json")["plan"]["preset"]
    assert experimental(study / "plan.json") == [
        f"experimental: unireg was not trained on pairs like these ({preset})"
    ]
    assert experimental(study / "my_model" / "plan.json") == []
    words = ["plan", study / "data", "--model", "my_model"]
    assert run(*words, "-o", tmp_path / "same.json") == 0
    assert experimental(tmp_path / "same.json") == []
    words += ["--anatomy", "brain", "--modality.0", "mr", "--pairing", "intra"]
    assert run(*words, "-o", tmp_path / "other.json") == 0
    other = read(tmp_path / "other.json")["plan"]["preset"]
    assert experimental(tmp_path / "other.json") == [
        f"experimental: my_model was trained on pairs of {preset}, and these are {other}"
    ]
    assert other != preset


def test_training_continues_from_the_model(study, trained, tmp_path, capsys):
    words = ["finetune", study / "plan.json", "--out", tmp_path / "next", *TRAINING[2:]]
    assert run(*words, "--from", "my_model") == 0
    metadata = read(tmp_path / "next" / "configs" / "metadata.json")["trained"]
    assert metadata["start"]["sha256"] == trained["sha256"]
    assert "did you mean my_model?" in refusal(capsys, *words, "--from", "my_modl")


def test_weights_that_changed_after_the_plan_are_reported(study, tmp_path, capsys):
    model = tmp_path / "mi#ne @::x ${a}"  # nothing in a name of a folder is evaluated
    shutil.copytree(study / "my_model", model)
    assert run("plan", study / "data", "--model", model, "-o", tmp_path / "plan.json") == 0
    weights = model / "models" / "model.safetensors"
    shutil.copy(study / "my_model" / "train" / "best.safetensors", weights)  # other metadata
    assert run("run", tmp_path / "plan.json", "--device", "cpu") == 0
    assert "weights: NOT those of the plan (sha256 " in capsys.readouterr().out
    folder = tmp_path / "plan-val"
    assert read(folder / "summary.json")["weights"]["as_planned"] is False
    assert "weights: NOT those of the plan" in (folder / "report.html").read_text()


def test_a_model_without_its_weights_is_refused_and_no_others_are_used(
    study, images, tmp_path, capsys
):
    model = tmp_path / "mine"
    shutil.copytree(study / "my_model", model)
    (model / "models" / "model.safetensors").unlink()
    for flag in ("--model", "--bundle"):
        words = ["register", *images, "--out", tmp_path / "out", flag, model, "--device", "cpu"]
        assert f"{model} lacks its weights, models/model.safetensors" in refusal(capsys, *words)


def test_what_does_not_fit_is_refused(study, images, tmp_path, capsys):
    words = ["register", *images, "--out", tmp_path / "out", "--model"]
    assert "did you mean my_model?" in refusal(capsys, *words, "my_modle")
    into_model = ["register", *images, "--model", "my_model", "--out", study / "my_model"]
    assert "my_model/plan.json" in refusal(capsys, *into_model)
    other = study / "mcbo.json"
    assert run("plan", study / "data", "--model", "mcbo", "-o", other) == 0
    error = refusal(capsys, "run", other, "--model", "my_model")
    assert "the plan is for mcbo, and my_model is a unireg" in error
    error = refusal(capsys, "finetune", study / "plan.json", "--out", tmp_path / "unireg")
    assert "unireg is a model of regzoo" in error
    assert not (tmp_path / "unireg").exists()


def test_the_model_is_listed(study, capsys):
    assert run("models") == 0
    row = next(r for r in capsys.readouterr().out.splitlines() if r.startswith("my_model"))
    assert row.split(maxsplit=3) == ["my_model", "unireg", "own", str(study / "my_model")]
