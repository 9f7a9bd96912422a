"""`regzoo finetune` makes a bundle of its own that `regzoo register` takes."""

import json
import shutil
from pathlib import Path

import pytest
from support.train_cases import write_images

from zoo import cli
from zoo.training.tables import read_rows

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

TINY = ["--set", "size=[16,24,16]", "--set", "affine=none", "--device", "cpu"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a dataset and a plan of it for each model."""
    root = tmp_path_factory.mktemp("study ünder test")
    write_images(root / "data", shape=(20, 24, 18), paired=True)
    for model in ("unireg", "mcbo"):
        words = ["plan", str(root / "data"), "-o", str(root / f"{model}.json"), "--model", model]
        assert cli.run([*words, "--anatomy", "abdomen", "--pairing", "inter"]) == 0
    return root


def steps(folder):
    return [row["step"] for row in read_rows(folder / "train" / "losses.csv")]


def test_a_model_learns_and_the_new_bundle_registers(study, tmp_path, capsys):
    out = tmp_path / "my model"
    words = ["finetune", str(study / "unireg.json"), "--from", "scratch", "--out", str(out), *TINY]
    assert cli.run([*words, "--steps", "2"]) == 0
    assert cli.run([*words, "--steps", "3"]) == 0
    said = capsys.readouterr().out
    assert "dice_after" in said
    assert f"--model {out} of regzoo register" in said
    assert steps(out) == [1, 2, 3]

    card = (out / "docs" / "README.md").read_text()
    plan = json.loads((study / "unireg.json").read_text())
    assert plan["plan"]["content"] in card
    assert "- steps: 3" in card
    before = read_rows(out / "train" / "figures.csv")[0]["dice_after"]
    assert f"| {before:.4g} |" in card

    images = study / "data" / "imagesTr"
    pair = [str(images / f"Ph_000{k}_0000.nii.gz") for k in (2, 3)]
    words = ["register", *pair, "--out", str(tmp_path / "r"), "--bundle", str(out), *TINY[4:6]]
    assert cli.run([*words, "--report=false"]) == 0
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    assert result["weights"]["path"] == str(out / "models" / "model.safetensors")
    assert result["settings"]["region"] == "abdomen"
    assert result["settings"]["size"] == [16, 24, 16]
    assert cli.run(["check-bundle", str(out)]) == 0


def test_a_run_of_the_new_plan_uses_the_trained_weights(study, tmp_path):
    out = tmp_path / "my model"
    words = ["finetune", str(study / "unireg.json"), "--from", "compact", "--out", str(out), *TINY]
    assert cli.run([*words, "--steps", "2", "--set", "learning_rate=0.01"]) == 0
    plan = out / "plan.json"
    assert cli.run(["run", str(plan), "--out", str(tmp_path / "run"), "--device", "cpu"]) == 0
    (result,) = [json.loads(f.read_text()) for f in (tmp_path / "run").glob("*/result.json")]
    trained = json.loads((out / "configs" / "metadata.json").read_text())["trained"]
    assert result["weights"]["sha256"] == trained["sha256"]
    assert result["settings"]["size"] == [16, 24, 16]
    assert result["figures"]["dice_after"] == pytest.approx(trained["figures_after"]["dice_after"])


def refused(capsys, *words):
    assert cli.run(["finetune", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_stale_plan_is_refused_before_anything_is_written(study, tmp_path, capsys):
    shutil.copytree(study / "data", tmp_path / "data")
    plan = json.loads((study / "unireg.json").read_text())
    plan["dataset_dir"] = str(tmp_path / "data")
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "data/imagesTr/Ph_0002_0000.nii.gz").write_bytes(b"other")
    error = refused(capsys, tmp_path / "plan.json", "--out", tmp_path / "out")
    assert "changed since its plan" in error
    assert not (tmp_path / "out").exists()


def test_a_plan_for_one_pair_is_refused(study, tmp_path, capsys):
    plan = json.loads((study / "unireg.json").read_text())
    for key in ("dataset_dir", "split", "pairs"):
        del plan[key]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert "training needs a dataset" in refused(capsys, tmp_path / "plan.json")


def test_a_folder_with_a_bundle_of_another_kind_is_left_alone(study, tmp_path, capsys):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text("{}")
    error = refused(capsys, study / "unireg.json", "--out", tmp_path)
    assert "not made by training" in error
    assert (tmp_path / "configs" / "metadata.json").read_text() == "{}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--steps", "5", "--epochs", "2"], "not both"),
        (["--steps", "0"], "must be 1 or more"),
        (["--steps", "5", "--set", "epoch_length=2"], "--steps determines epoch_length, which"),
        (["--steps", "5", "--set", "epochs=2"], "--steps determines epochs, which --set epochs=2"),
        (["--epochs", "5", "--set", "epochs=2"], "--epochs determines epochs, which"),
        (["--from", "compact", "--set", "weights=scratch"], "--from or --set weights"),
        (["--set", "learning_rat=1"], "did you mean learning_rate"),
        (["--from", "scratch", "--set", "stage=3"], "stages 1 and 2"),
    ],
)
def test_flags_that_make_no_sense_are_told(study, tmp_path, capsys, words, said):
    error = refused(capsys, study / "unireg.json", "--out", tmp_path / "out", *words)
    assert said in error


def test_mcbo_has_no_weights_to_start_from(study, capsys):
    assert "has no weights" in refused(capsys, study / "mcbo.json", "--from", "compact")


@pytest.mark.slow
def test_mcbo_is_fitted_and_a_plan_names_the_preset(study, tmp_path, capsys):
    out = tmp_path / "fitted"
    words = ["finetune", str(study / "mcbo.json"), "--steps", "3", "--out", str(out)]
    more = ["--set", "refine=0", "--set", "affine=none", "--device", "cpu"]
    assert cli.run([*words, *more]) == 0
    plan = str(tmp_path / "plan.json")
    named = ["--set", f"preset={out / 'preset.json'}", "--set", "affine=none"]
    assert cli.run(["plan", str(study / "mcbo.json"), *named, "-o", plan]) == 0
    images = study / "data" / "imagesTr"
    pair = [str(images / f"Ph_000{k}_0000.nii.gz") for k in (2, 3)]
    own = ["--model", str(out), "--affine", "none"]
    for name, by in (("a", ["--plan", plan]), ("b", ["--bundle", str(out)]), ("c", own)):
        words = ["register", *pair, "--out", str(tmp_path / name), *by, "--device", "cpu"]
        assert cli.run([*words, "--report=false"]) == 0
    assert cli.run(["run", str(out / "plan.json"), "--out", str(tmp_path / "run")]) == 0
    (run,) = [json.loads(f.read_text()) for f in (tmp_path / "run").glob("*/result.json")]
    results = [json.loads((tmp_path / k / "result.json").read_text()) for k in "abc"]
    assert all(r["figures"] == results[0]["figures"] for r in results)
    preset = json.loads((out / "preset.json").read_text())
    for result in (results[2], run):
        assert result["settings"]["mode"] == preset["mode"]
        assert result["settings"]["changes"] == preset["changes"]
    similarity = [r["figures"]["similarity_after"] for r in (run, results[0])]
    assert similarity[0] == similarity[1]
    assert cli.run(["plan", str(study / "data"), "--model", "fitted", "-o", plan]) == 0
    planned = json.loads(Path(plan).read_text())
    assert planned.get("solver_settings", {}) == preset["changes"]
    assert planned["mode"] == preset["mode"]
