"""The packaged compact weights register pairs that they were not trained on, in any orientation."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from support.grid_cases import ORIENTATIONS

import zoo
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.catalogue import find_model
from zoo.hub.weights import read_weights_header
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

MODELS = ("unigradicon", "multigradicon", "unireg")
NAMES = ("fixed", "moving", "fixed_labels", "moving_labels")


@pytest.fixture(scope="module", params=["RAS", "left-handed oblique"])
def files(request, tmp_path_factory):
    """A phantom of one contrast, with arrays in the orientation of the parameter."""
    folder = tmp_path_factory.mktemp("phantom")
    geometry = {"shape": (48, 52, 44), "spacing": (4.0, 4.0, 4.3), **ORIENTATIONS[request.param]}
    pair = make_pair(11, contrasts=("t1", "t1"), **geometry)
    for name in NAMES:
        grid = pair.fixed_grid if name.startswith("fixed") else pair.moving_grid
        write_volume(folder / f"{name}.nii.gz", getattr(pair, name), grid)
    return {name: folder / f"{name}.nii.gz" for name in NAMES}


@pytest.mark.parametrize("model", MODELS)
def test_a_prediction_improves_the_overlap_without_folding(files, model, tmp_path):
    result = zoo.register(
        files["fixed"],
        files["moving"],
        fixed_labels=files["fixed_labels"],
        moving_labels=files["moving_labels"],
        out=tmp_path,
        model=model,
        weights="compact",
        modality=("mr", "mr"),
        anatomy="abdomen",
        pairing="inter",
        settings={"affine": "none", "refine": 0},
    )
    assert result.figures["dice_after"] > result.figures["dice_before"] + 0.05
    assert result.figures["folding_percent"] < 0.5
    assert json.loads((tmp_path / "result.json").read_text())["weights"]["variant"] == "compact"


@pytest.mark.slow
def test_multigradicon_registers_two_contrasts_better_than_unigradicon(tmp_path):
    pair = make_pair(11, contrasts=("t1", "t2"), shape=(48, 52, 44), spacing=(4.0, 4.0, 4.3))
    for name in NAMES:
        write_volume(tmp_path / f"{name}.nii.gz", getattr(pair, name), pair.fixed_grid)
    figures = {
        model: zoo.register(
            tmp_path / "fixed.nii.gz",
            tmp_path / "moving.nii.gz",
            fixed_labels=tmp_path / "fixed_labels.nii.gz",
            moving_labels=tmp_path / "moving_labels.nii.gz",
            model=model,
            weights="compact",
            modality=("t1", "t2"),
            force=True,
            settings={"affine": "none", "refine": 0},
        ).figures
        for model in ("unigradicon", "multigradicon")
    }
    multi = figures["multigradicon"]
    assert multi["dice_after"] > multi["dice_before"] + 0.05
    assert multi["dice_after"] > figures["unigradicon"]["dice_after"] + 0.05


@pytest.mark.parametrize("model", ["unigradicon", "unireg"])
def test_weights_for_one_contrast_are_refused_for_two_without_force(model, tmp_path):
    pair = make_pair(11, contrasts=("t1", "t2"), shape=(30, 32, 28), spacing=(6.0, 6.0, 6.0))
    for name in NAMES[:2]:
        write_volume(tmp_path / f"{name}.nii.gz", getattr(pair, name), pair.fixed_grid)
    with pytest.raises(UserError, match=r"compact weights .* one contrast .* --force"):
        zoo.register(
            tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", model=model,
            modality=("t1", "t2"), anatomy="brain", pairing="inter",
        )  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_the_files_are_small_and_their_headers_describe_them(model):
    path = bundle_folder(model) / "models" / "model_compact.safetensors"
    assert path.stat().st_size < 10e6
    header = read_weights_header(path)
    assert header.metadata["data"].startswith("synthetic subjects")
    assert "OpenKBP" in header.metadata["data"]
    card = (bundle_folder(model) / "docs" / "README.md").read_text(encoding="utf-8")
    assert "OpenKBP" in card
    assert "SynthSeg" in card
    assert header.size() is not None
    assert find_model(model).variants["compact"].size == path.stat().st_size


def test_no_weight_is_infinite_in_half_precision():
    for model in MODELS:
        path = bundle_folder(model) / "models" / "model_compact.safetensors"
        assert all(
            torch.isfinite(v).all() for v in load_file(path).values() if v.is_floating_point()
        )
