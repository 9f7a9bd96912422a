"""Overrides of `monai.bundle run` that the bundle does not have are refused."""

import json
import shutil

import pytest
from monai.bundle import create_workflow

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, bundle_names
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
