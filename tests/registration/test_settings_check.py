"""Overrides of `monai.bundle run` that the bundle does not have are refused, also in training."""

import json
import shutil

import pytest
import yaml
from monai.bundle import create_workflow
from support.planning_facts import fingerprint

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.catalogue import find_model
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan
from zoo.runtime.bundle import user_errors


def opened(folder, *overlays, **overrides):
    """Initialise the workflow as `monai.bundle run` does."""
    configs = [str(folder / "configs" / name) for name in ("inference.json", *overlays)]
    with user_errors():
        return create_workflow(config_file=configs, logging_file=False, **overrides)


@pytest.mark.parametrize("model", bundle_names())
@pytest.mark.parametrize(
    ("name", "nearest"),
    [("fixd", "fixed"), ("afine", "affine"), ("output_dri", "output_dir"), ("movng", "moving")],
)
def test_a_misspelt_override_is_refused_with_the_nearest_name(model, name, nearest):
    with pytest.raises(UserError, match=f"no setting '{name}'; did you mean {nearest}\\?"):
        opened(bundle_folder(model), **{name: "x"})


def test_an_override_near_no_name_is_refused_with_all_settings():
    with pytest.raises(UserError, match=r"no setting 'zzz'; the settings are affine, .*, moving,"):
        opened(bundle_folder("mcbo"), zzz=1)


@pytest.mark.parametrize("model", bundle_names())
def test_every_setting_of_the_configs_may_be_overridden(model):
    folder = bundle_folder(model)
    config = json.loads((folder / "configs" / "inference.json").read_text())
    plain = {name: value for name, value in config.items() if value in (None, True, False)}
    opened(folder, **plain)
    opened(folder, "evaluate.json", split="val", figure="dice")


def test_an_overlay_may_define_parts_of_its_own(tmp_path):
    folder = tmp_path / "mcbo"
    shutil.copytree(bundle_folder("mcbo"), folder)
    own = {"mine": "accurate", "mode": "@mine", "again": ["$print('again')"], "plan": {"a": 1}}
    (folder / "own.json").write_text(json.dumps(own))
    opened(folder, "../own.json", pairs=[])
    with pytest.raises(UserError, match="'mne'"):
        opened(folder, "../own.json", mne=1)


def opened_training(folder, *overlays, **overrides):
    """Initialise the training as `monai.bundle run` does."""
    configs = [str(folder / "configs" / name) for name in ("train.yaml", *overlays)]
    with user_errors():
        return create_workflow(config_file=configs, logging_file=False, bar=False, **overrides)


@pytest.mark.parametrize("model", bundle_names())
@pytest.mark.parametrize(("name", "nearest"), [("epoch", "epochs"), ("afine", "affine")])
def test_a_misspelt_override_of_a_training_is_refused(model, name, nearest):
    with pytest.raises(UserError, match=f"no setting '{name}'; did you mean {nearest}\\?"):
        opened_training(bundle_folder(model), **{name: 1})


@pytest.mark.parametrize("model", bundle_names())
def test_a_training_takes_every_setting_of_its_config_and_every_plan(model, tmp_path):
    folder = bundle_folder(model)
    options = UserOptions(model=model, memory_mib=None)
    plan = make_plan(fingerprint("brain", "mr", "mr", "inter"), options)
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    opened_training(folder, tmp_path / "plan.json", seed=1, epochs=2, affine="none")
    with pytest.raises(UserError, match="no setting 'fixed'"):  # it belongs to the inference
        opened_training(folder, fixed="x.nii.gz")


@pytest.mark.parametrize("model", bundle_names())
def test_training_and_inference_have_the_same_defaults(model):
    """Without a plan a trained bundle has the settings of the packaged one."""
    configs = bundle_folder(model) / "configs"
    inference = json.loads((configs / "inference.json").read_text())
    training = yaml.safe_load((configs / "train.yaml").read_text())
    # mcbo refines its search, not a registration; unireg computes the size from the region in both.
    of_another_kind = {"mcbo": {"refine"}, "unireg": {"size"}}.get(model, set())
    rules = find_model(model).setting_rules().keys() - of_another_kind
    shared = {key for key in rules & inference.keys() & training.keys()}
    assert {"affine", "bar"} <= shared
    different = {key for key in shared if inference[key] != training[key]}
    assert different == set()
