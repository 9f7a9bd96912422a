"""Weights for pairs of one contrast are refused or reported for two, by every way to run them."""

import json

import monai.bundle
import pytest
from monai.bundle import create_workflow
from support.command_line import refusal, run
from support.planning_facts import fingerprint

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.io.volume import write_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan
from zoo.runtime.bundle import user_errors
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

REFUSED = "the compact weights of unireg are for pairs of one contrast"
QUICK = ["--model", "unireg", "--anatomy", "brain", "--pairing", "inter", "--device", "cpu"]
QUICK += ["--set", "affine=none", "--report=false", "--set", "size=[32, 40, 32]"]
AGAIN = QUICK[6:]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of three images on oblique grids: T1, T1 and T2 of one deformed phantom."""
    folder = tmp_path_factory.mktemp("contrasts")
    for name, contrast in (("t1", "t1"), ("t2", "t2")):
        pair = make_pair(11, shape=(60, 64, 56), contrasts=("t1", contrast), tilt_degrees=10)
        write_volume(folder / "fixed.nii.gz", pair.fixed, pair.fixed_grid)
        write_volume(folder / f"{name}.nii.gz", pair.moving, pair.moving_grid)
    return folder


@pytest.fixture(scope="module")
def plan_of_one_contrast(files):
    """The plan of the pair of one contrast, registered with the compact weights."""
    out = files / "one"
    pair = [files / "fixed.nii.gz", files / "t1.nii.gz"]
    assert run("register", *pair, "--out", out, *QUICK) == 0
    result = json.loads((out / "result.json").read_text())
    assert "two_contrasts" not in result
    assert not any("one contrast" in warning for warning in result["warnings"])
    return out / "plan.json"


def test_a_plan_of_other_pairs_is_refused_for_a_pair_of_two_contrasts(
    files, plan_of_one_contrast, tmp_path, capsys
):
    pair = [files / "fixed.nii.gz", files / "t2.nii.gz"]
    words = ["register", *pair, "--out", tmp_path / "out", *AGAIN, "--plan", plan_of_one_contrast]
    error = refusal(capsys, *words)
    assert REFUSED in error
    assert "differ in sign (-1.00)" in error
    assert not (tmp_path / "out").exists()
    assert run(*words, "--force") == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["quality"] != "ok"
    assert any("for pairs of one contrast, and this pair" in text for text in result["warnings"])


def test_monai_bundle_run_warns_in_the_result(files, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monai.bundle.run(
        config_file=str(bundle_folder("unireg") / "configs" / "inference.json"),
        fixed=str(files / "fixed.nii.gz"),
        moving=str(files / "t2.nii.gz"),
        output_dir=str(tmp_path),
        **{"region": "brain", "type": "inter", "size": [32, 40, 32], "affine": "none"},
        **{"report": False, "bar": False},
    )
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["weights"]["variant"] == "compact"
    assert any("for pairs of one contrast, and this pair" in text for text in result["warnings"])


def plan_of_two_contrasts(path, *, force):
    """Write the plan that a computer with the official weights, or --force, makes for MR-CT."""
    variants = {"unireg": "compact" if force else "official"}
    options = UserOptions(model="unireg", variants=variants, widths={"unireg": 8}, force=force)
    plan = make_plan(fingerprint("brain", "mr", "ct", "inter"), options)
    path.write_text(json.dumps(plan))


def opened(plan):
    """Initialise the inference of unireg with a plan, as `monai.bundle run` does."""
    configs = [str(bundle_folder("unireg") / "configs" / "inference.json"), str(plan)]
    with user_errors():
        return create_workflow(config_file=configs, logging_file=False, bar=False)


def test_monai_bundle_run_refuses_the_plan_of_pairs_of_two_contrasts(tmp_path):
    plan_of_two_contrasts(tmp_path / "plan.json", force=False)
    with pytest.raises(UserError, match=rf"{REFUSED} .*\(the fixed images are mr"):
        opened(tmp_path / "plan.json")
    plan_of_two_contrasts(tmp_path / "plan.json", force=True)
    opened(tmp_path / "plan.json")


def test_a_run_refuses_a_plan_that_was_changed_to_weights_for_one_contrast(tmp_path, capsys):
    plan_of_two_contrasts(tmp_path / "plan.json", force=False)
    plan = json.loads((tmp_path / "plan.json").read_text())
    content = "0" * 64
    plan["plan"]["content"] = content
    pairs = {"_target_": "zoo.datasets.DatasetPairs", "folder": "@dataset_dir"}
    pairs |= {"split": "@split", "content": content}
    plan |= {"dataset_dir": str(tmp_path), "split": "val", "pairs": pairs}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    words = ["--set", "weights=compact", "--name", "changed", "-o", tmp_path / "changed.json"]
    assert run("plan", tmp_path / "plan.json", *words) == 0
    assert REFUSED in refusal(capsys, "run", tmp_path / "changed.json", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_copy_of_the_compact_weights_is_recognised(files, tmp_path, capsys):
    weights = tmp_path / "renamed.safetensors"
    weights.write_bytes(
        (bundle_folder("unireg") / "models" / "model_compact.safetensors").read_bytes()
    )
    pair = [files / "fixed.nii.gz", files / "t2.nii.gz"]
    words = ["register", *pair, "--out", tmp_path / "out", *QUICK, "--weights", weights]
    assert REFUSED in refusal(capsys, *words)
