"""The export of a training: the bundle has the best weights, its settings, and its figures."""

import dataclasses
import json

import pytest
import torch
from torch import nn

from zoo.errors import UserError
from zoo.hub.weights import load_weights, read_weights_header, sha256_of
from zoo.registration.weights import SelectedWeights
from zoo.training.checkpoint import BEST, BestValidation, write_best
from zoo.training.export import BundleExport, require_trained_bundle
from zoo.training.log import FIGURES, LOSSES
from zoo.training.tables import write_rows


def network(value):
    """A module with one weight."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def export(folder, **settings):
    """Return the export of a training whose log is in `folder`/log."""
    return BundleExport(
        model="unireg",
        output_dir=folder / "out",
        log_dir=folder / "log",
        weights=SelectedWeights("unireg", "scratch"),
        settings={"size": [16, 24, 16], "affine": "none"} | settings,
        data={"content": None, "split": "train", "validated": "val"},
        recipe={"stage": 2},
        facts={"plan": {"name": "default", "preset": "p"}},
    )


def write_log(folder, best):
    """Write a log of three validations, the one at step `best` recorded as the best."""
    rows = [{"step": k, "dice_after": d} for k, d in ((0, 0.5), (2, 0.9), (4, 0.7))]
    write_rows(folder / LOSSES, [{"step": k, "loss": 1.0} for k in range(1, 5)])
    write_rows(folder / FIGURES, rows)
    row = next(row for row in rows if row["step"] == best)
    write_best(folder, network(best), BestValidation("dice_after", row))


def metadata(folder):
    return json.loads((folder / "out/configs/metadata.json").read_text())["trained"]


def test_the_export_takes_the_best_weights_from_the_log_and_does_not_choose_again(tmp_path):
    """The recorded step counts, even where the table alone would suggest another."""
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", best=4)
    export(tmp_path).run()
    trained = metadata(tmp_path)
    assert (trained["best_step"], trained["figure"], trained["steps"]) == (4, "dice_after", 4)
    assert trained["figures_before"]["dice_after"] == 0.5
    assert trained["figures_after"]["dice_after"] == 0.7
    assert trained["data"]["plan"]["name"] == "default"
    weights = tmp_path / "out/models/model.safetensors"
    assert torch.equal(load_weights(weights)["weight"], torch.tensor([[4.0]]))
    assert trained["sha256"] == sha256_of(weights)
    header = read_weights_header(weights).metadata
    assert header["source"] == "scratch"
    assert header["architecture"] == "unireg"
    assert "validation" not in header


def test_settings_become_defaults_except_a_file_of_this_computer(tmp_path):
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", best=2)
    export(tmp_path, affine=str(tmp_path / "own.tfm"), unknown=1).run()
    inference = json.loads((tmp_path / "out/configs/inference.json").read_text())
    assert inference["size"] == [16, 24, 16]
    assert inference["affine"] == "auto"
    assert "unknown" not in inference
    assert inference["weights"] == "$@bundle_root + '/models/model.safetensors'"


def test_a_training_without_a_validation_writes_no_bundle(tmp_path):
    with pytest.raises(UserError, match=rf"no {BEST}.*no validation"):
        export(tmp_path).run()
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_training_did_not_make_is_not_overwritten(tmp_path):
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", best=2)
    export(tmp_path).run()
    require_trained_bundle(tmp_path / "out")  # a trained bundle may be written again
    path = tmp_path / "out/configs/metadata.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="not made by training"):
        export(tmp_path).run()
    assert path.read_text() == "{}"


def test_names_of_weights_are_not_evaluated_by_monai(tmp_path):
    """MONAI runs every text of metadata.json that begins with $import."""
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", best=2)
    odd = tmp_path / "$import this.safetensors"
    (tmp_path / "log" / BEST).rename(odd)
    write_log(tmp_path / "log", best=2)
    changed = dataclasses.replace(export(tmp_path), weights=SelectedWeights("unireg", str(odd)))
    changed.run()
    assert metadata(tmp_path)["start"]["file"] == "import this.safetensors"
    assert "$" not in (tmp_path / "out/configs/metadata.json").read_text()
