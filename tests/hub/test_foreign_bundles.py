"""A bundle from elsewhere is read as data, or its reasons for being more are listed."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from zoo.commands.hub.check_bundle import check_bundle
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.foreign_bundles import BundleData, read_bundle
from zoo.runtime.bundle import open_bundle
from zoo.training.export import OWN_WEIGHTS, write_configs

TRAINED = {"start": {"variant": "compact"}, "data": {}, "recipe": {}, "steps": 1, "figure": None}
FIGURES = {"figures_before": {}, "figures_after": {}, "best_step": 0}


def write(folder, config, metadata):
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


def test_a_fine_tuned_bundle_is_data(tmp_path):
    settings = {"size": [32, 24, 40], "refine": 3, "weights": OWN_WEIGHTS, "affine": "auto"}
    write_configs("unigradicon", tmp_path, TRAINED | FIGURES, settings)
    (tmp_path / "models").mkdir()
    weights = tmp_path / "models" / "model.safetensors"
    save_file({"x": torch.zeros(1)}, weights)
    content = read_bundle(tmp_path)
    expected = {"size": [32, 24, 40], "refine": 3}  # affine is auto in the packaged config too
    assert content.data == BundleData("unigradicon", expected, weights)


def test_the_values_of_a_bundle_run_in_the_workflow_of_the_package(tmp_path):
    config = {"mode": "paper", "solver_settings": {"smoothing": 2}}
    bundle = write(tmp_path / "a#b @::c", config, {"regzoo": {"model": "mcbo"}})
    plain = {"affine": "rigid"}
    with open_bundle(bundle, {"bar": False, "bundle_root": "."}, settings=plain) as workflow:
        assert workflow.network_def.settings.levels == (1, 2, 4, 6)
        assert workflow.network_def.settings.smoothing == 2
        assert workflow.inferer.affine == "rigid"
        assert workflow.parser.get_parsed_content("bundle_root") == str(bundle_folder("mcbo"))


@pytest.mark.parametrize(
    ("config", "metadata", "reason"),
    [
        ({}, {}, "configs/metadata.json does not name a model of regzoo"),
        ({}, {"regzoo": {"model": "toy"}}, "names the model 'toy', which is none of mcbo"),
        ({"modes": 1}, {"regzoo": {"model": "mcbo"}}, r"modes is neither a setting .* mean mode\?"),
        ({"mode": "x"}, {"regzoo": {"model": "mcbo"}}, "mode: 'x' is not allowed; use one of"),
        ({"preset": "a.json"}, {"regzoo": {"model": "mcbo"}}, "must not name files"),
        ({"run": ["$x"]}, {"regzoo": {"model": "mcbo"}}, "run is neither a setting of mcbo"),
    ],
)
def test_a_bundle_that_is_more_than_data_is_refused_with_the_reason(
    tmp_path, config, metadata, reason
):
    bundle = write(tmp_path / "bundle", config, metadata)
    with pytest.raises(UserError, match=reason), open_bundle(bundle, {}):
        pytest.fail("the workflow was opened")


def test_a_trusted_bundle_runs_after_a_list_of_what_it_runs(tmp_path, capsys):
    config = json.loads((bundle_folder("mcbo") / "configs" / "inference.json").read_text())
    own = {"imports": ["$import math"], "spacing": "$math.sqrt(4)"}
    bundle = write(tmp_path / "bundle", config | own, {"version": "0.1.0"})
    assert check_bundle(str(bundle)) == 1
    out = capsys.readouterr().out
    assert "spacing: '$math.sqrt(4)'" in out
    assert "network_def::_target_: 'zoo.solvers.MCBO'" in out
    with open_bundle(bundle, {"bar": False}, trust=True) as workflow:
        assert workflow.parser.get_parsed_content("spacing") == 2
    err = capsys.readouterr().err
    assert "is more than data and runs because it is trusted" in err
    assert "spacing: '$math.sqrt(4)'" in err
    with (
        pytest.raises(UserError, match=r"the setting mode: .* begins with"),
        open_bundle(bundle, {}, settings={"mode": "$print(1)"}, trust=True),
    ):
        pytest.fail("the workflow was opened")
