"""A registrar has the components that MONAI's parser builds, and registers as MONAI does."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from zoo.datasets.pairs import load_pair, pair_files
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.setting_rules import for_monai
from zoo.io.volume import write_volume
from zoo.registration.pair import register_pair
from zoo.runtime.bundle import open_bundle
from zoo.runtime.components import Components
from zoo.runtime.registrar import open_registrar
from zoo.synthesis.phantom import make_pair

SETTINGS = {
    "mcbo": {
        "mode": "paper",
        "solver_settings": {"smoothing": 2},
        "spacing": 3.0,
        "most_voxels": 50_000,
        "candidates": ["search", "network"],
    },
    "unigradicon": {"size": [40, 36, 32], "refine": 3, "similarity": "mind", "crop": True},
    "multigradicon": {"fixed_modality": "ct", "ct_window": [-500, 500], "masking": "both"},
    "unireg": {"type": "intra", "region": "liver", "size": [48, 48, 48]},
}
"""Settings of each model that reach the network, the frame, the intensities and the saver."""


def described(value):
    """Return an object as plain data: its type and, recursively, its attributes."""
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, nn.Module):
        shapes = {name: tuple(tensor.shape) for name, tensor in value.state_dict().items()}
        own = {k: v for k, v in vars(value).items() if not k.startswith("_") and k != "training"}
        return type(value), shapes, described(own)
    if type(value).__module__.startswith("zoo."):
        return type(value), described(vars(value))
    return value


@pytest.mark.parametrize("model", bundle_names())
def test_the_components_are_those_of_monais_parser(model, tmp_path):
    overrides = {
        "pairs": [],
        "bar": False,
        "device": "$torch.device('cpu')",
        "output_dir": for_monai(str(tmp_path / "a $b @c#d::e")),
        "bundle_root": for_monai(str(bundle_folder(model))),
    }
    given = {"settings": SETTINGS[model]}
    with (
        open_bundle(bundle_folder(model), overrides, **given) as workflow,
        open_registrar(bundle_folder(model), overrides, **given) as registrar,
    ):
        inferer, network = registrar.register.args
        assert described(registrar.saver) == described(workflow.parser.get_parsed_content("saver"))
        assert described(inferer) == described(workflow.inferer)
        if model != "mcbo":
            weights = workflow.parser.get_parsed_content("selected_weights")
            weights.load_into(workflow.network_def)
        assert described(network) == described(workflow.network_def)
        assert not network.training
        for one, two in zip(
            network.state_dict().values(), workflow.network_def.state_dict().values(), strict=True
        ):
            assert torch.equal(one, two)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("@text", "a"),
        ("$@number + len(@text)", 3),
        ("$torch.device('cpu')", torch.device("cpu")),
        (["@number", {"x": "@text"}], [2, {"x": "a"}]),
        ({"_target_": "collections.Counter", "a": "@number"}, {"a": 2}),
        (for_monai("$1 + 1"), "$1 + 1"),
        (for_monai("@text"), "@text"),
        ("me@home", "me@home"),
    ],
)
def test_references_expressions_and_components_are_resolved(value, expected):
    assert Components({"number": 2, "text": "a", "value": value})["value"] == expected


def test_a_component_is_built_once():
    components = Components({"one": {"_target_": "builtins.object"}, "two": ["@one", "@one"]})
    first, second = components["two"]
    assert first is second is components["one"]


@pytest.fixture
def pair(tmp_path):
    made = make_pair(2, shape=(26, 24, 22), tilt_degrees=10, moving_axes="LPS")
    for side in ("fixed", "moving"):
        write_volume(tmp_path / f"{side}.nii", getattr(made, side), getattr(made, f"{side}_grid"))
    return load_pair(pair_files(tmp_path / "fixed.nii", tmp_path / "moving.nii"))


@pytest.mark.parametrize("trusted", [False, True])
def test_a_packaged_and_a_trusted_bundle_register_as_monais_evaluator_does(
    trusted, pair, tmp_path, capsys
):
    bundle = bundle_folder("mcbo")
    if trusted:  # a program of its own, which MONAI runs
        bundle = tmp_path / "bundle"
        shutil.copytree(bundle_folder("mcbo"), bundle)
        config = json.loads((bundle / "configs" / "inference.json").read_text())
        config |= {"imports": ["$import math"], "fusion": "$'max' + '_norm'"}
        (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    overrides = {
        "bar": False,
        "device": "$torch.device('cpu')",
        "pairs": [],
        "handlers": [],
    }
    with open_registrar(bundle, overrides, trust=trusted) as registrar:
        registered = registrar.register(pair)
    with open_bundle(bundle_folder("mcbo"), overrides) as workflow:
        expected = register_pair(workflow.evaluator, pair)
    assert torch.equal(registered.transform.field, expected.transform.field)
    assert np.array_equal(registered.transform.affine, expected.transform.affine)
    assert registered.notes == expected.notes
    assert ("runs because it is trusted" in capsys.readouterr().err) == trusted


def test_an_untrusted_program_and_an_unknown_setting_are_refused(tmp_path):
    shutil.copytree(bundle_folder("mcbo") / "configs", tmp_path / "configs")
    (tmp_path / "configs" / "metadata.json").write_text('{"version": "0.1.0"}')
    for folder, overrides, message in (
        (tmp_path, {}, "does not name a model"),
        (bundle_folder("mcbo"), {"fusions": "mean"}, "no setting 'fusions'"),
    ):
        with pytest.raises(UserError, match=message), open_registrar(folder, overrides):
            pytest.fail("the bundle was opened")
