"""`monai.bundle run` and `regzoo register` give one result for a pair, for every bundle."""

import json
import re
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from support.planning_facts import ALL, fingerprint
from support.small_weights import small_weights

from zoo import cli
from zoo.geometry import Grid
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.weights import load_weights
from zoo.io.volume import write_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan
from zoo.synthesis.phantom import make_pair

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "defaults.md"
SMALL = [40, 40, 40]
FEW_STEPS = (["--set", f"size={SMALL}", "--set", "refine=3"], {"size": SMALL, "refine": 3})
STATEMENTS = {
    "mcbo": ([], {}),
    "unigradicon": FEW_STEPS,
    "multigradicon": FEW_STEPS,
    "unireg": (
        ["--anatomy", "brain", "--pairing", "inter", "--set", f"size={SMALL}"],
        {"region": "brain", "type": "inter", "size": SMALL},
    ),
}
"""The same statements for `regzoo register` and for `monai.bundle run`. They save time."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Write a pair that is not aligned, for which a plan keeps the initial affine alignment."""
    folder = tmp_path_factory.mktemp("pair")
    made = make_pair(2, shape=(40, 44, 36), contrasts=("t1", "t1"), tilt_degrees=10)
    affine = made.moving_grid.affine.clone()
    affine[0, 3] += 15
    write_volume(folder / "fixed.nii.gz", made.fixed, made.fixed_grid)
    write_volume(folder / "moving.nii.gz", made.moving, Grid(made.moving_grid.shape, affine))
    return folder / "fixed.nii.gz", folder / "moving.nii.gz"


def config_of(model):
    return json.loads((bundle_folder(model) / "configs" / "inference.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("model", bundle_names())
def test_the_commands_give_bit_identical_results(model, pair, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words, settings = STATEMENTS[model]
    if model.endswith("gradicon"):
        weights = str(small_weights(model, tmp_path))
        words, settings = [*words, "--weights", weights], {**settings, "weights": weights}
    files = list(map(str, pair))
    torch.manual_seed(1)
    out = str(tmp_path / "regzoo")
    words = ["--model", model, "--out", out, "--report=false", *words]
    assert cli.run(["register", *files, *words]) == 0
    plan = json.loads((tmp_path / "regzoo" / "plan.json").read_text())
    assert (plan["affine"], plan.get("crop", False)) == ("auto", False)
    torch.manual_seed(2)
    monai.bundle.run(
        config_file=str(bundle_folder(model) / "configs" / "inference.json"),
        fixed=files[0],
        moving=files[1],
        output_dir=str(tmp_path / "monai"),
        report=False,
        bar=False,
        **settings,
    )
    for name in ("transform.nii.gz", "warped.nii.gz"):
        one, two = (
            np.asanyarray(nib.load(tmp_path / k / name).dataobj) for k in ("regzoo", "monai")
        )
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("model", bundle_names())
def test_the_defaults_of_a_bundle_are_the_plan_of_an_undetermined_pair(model):
    facts = fingerprint(None, None, None, None, measured=0)
    stated = {"region": None, "type": None} if model == "unireg" else {}
    options = UserOptions(available=ALL, model=model, settings=stated)
    plan, config = make_plan(facts, options), config_of(model)
    settings = {name: value for name, value in plan.items() if name not in ("plan", "facts")}
    assert len(settings) >= 2
    assert settings == {name: config[name] for name in settings}


def test_the_page_lists_the_defaults_of_every_bundle():
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", PAGE.read_text(), re.MULTILINE)
    header = re.search(r"^\| setting \|(.+)\|$", PAGE.read_text(), re.MULTILINE)
    models = [cell.strip(" `") for cell in header[1].split("|")]
    assert sorted(models) == bundle_names()
    listed = {name: dict(zip(models, row.split("|"), strict=True)) for name, row in rows}
    for model in models:
        config = config_of(model)
        for name, row in listed.items():
            cell = row[model].strip(" `")
            if name == "size" and model == "unireg":
                assert cell == "by region"
            else:
                assert (json.loads(cell) if cell else "absent") == config.get(name, "absent")
        plan = make_plan(
            fingerprint("abdomen", "ct", "ct", "inter"), UserOptions(available=ALL, model=model)
        )
        assert set(plan) - {"plan", "facts"} <= set(listed)


@pytest.mark.parametrize("model", [name for name in bundle_names() if name != "mcbo"])
def test_monai_loads_a_network_without_the_internet(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    folder = bundle_folder(model)
    network = monai.bundle.load(
        model,
        bundle_dir=str(folder.parent),
        workflow_type="inference",
        model_file="models/model_compact.safetensors",
        net_override={} if model == "unireg" else {"width": 8},
    )
    saved = load_weights(folder / "models" / "model_compact.safetensors")
    state = network.state_dict()
    assert state.keys() == saved.keys()
    assert all(torch.equal(state[name].cpu(), saved[name]) for name in saved)
