"""Training of compact weights: resuming, the output folder and the stages."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace

import pytest
import torch
from compact import train
from compact.gradicon import unets_of
from compact.recipes import RECIPES, Stage
from compact.start import new_training

from zoo.hub.weights import find_weights, load_weights
from zoo.networks import GradICON, UniReg

TINY = {
    "gradicon": replace(
        RECIPES["multigradicon"],
        size=(65, 65, 65),
        stages=(
            Stage(3, (32, 32, 32), 1e-3, 1e-2, parts=1, batch=2),
            Stage(1, (33, 33, 33), 1e-3, 1e-2, parts=2, sigma=2, batch=2),
            Stage(1, (65, 65, 65), 1e-3, 1e-2, parts=3, sigma=2),
        ),
    ),
    "unireg": replace(
        RECIPES["unireg"],
        size=(16, 16, 16),
        stages=(
            Stage(2, (16, 16, 16), 1e-3, 1e-3, parts=3, tasks=("brain",), conditioned=False),
            Stage(3, (16, 16, 16), 1e-3, 1e-3, batch=2, tasks=("liver", "cardiac")),
        ),
    ),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("compact.gradicon.CALIBRATION_STEPS", 2)
    monkeypatch.setattr("compact.gradicon.KEPT_SUBJECTS", 3)
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TINY)
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, kind):
    whole, first = (new_training(TINY[kind]) for _ in range(2))
    expected = [losses["loss"] for losses in whole.run()]

    resumed = []
    for losses in first.run():
        resumed.append(losses["loss"])
        if len(resumed) == 2:
            break
    torch.save(first.state(), tmp_path / "state.pt")
    second = new_training(TINY[kind])
    second.load(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed += [losses["loss"] for losses in second.run()]

    assert resumed == pytest.approx(expected, rel=1e-5)
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(second.network.state_dict()[name], value)


@pytest.mark.parametrize(("kind", "model"), [("gradicon", "multigradicon"), ("unireg", "unireg")])
def test_the_output_has_weights_that_the_zoo_loads_a_log_and_a_curve(tmp_path, kind, model):
    recipe = replace(TINY[kind], stages=TINY[kind].stages[:1])
    training = new_training(recipe)
    train.train(training, tmp_path, until=lambda: False)
    weights = find_weights(model, str(tmp_path / "model_compact.safetensors"))
    network = UniReg() if kind == "unireg" else GradICON(width=8)
    network.load_state_dict(load_weights(weights.path), strict=True)
    assert weights.width == 8
    assert weights.size == recipe.size
    for name, value in training.weights().items():
        torch.testing.assert_close(
            network.state_dict()[name].to(value), value, atol=1e-3, rtol=1e-3
        )
    (row,) = csv.DictReader((tmp_path / "log.csv").open())
    assert float(row["validation_error"]) == pytest.approx(1, abs=0.5)
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_log_takes_stages_with_different_losses(tmp_path, monkeypatch):
    monkeypatch.setattr("compact.train.SAVE_INTERVAL_S", 0)
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 1)
    stages = tuple(replace(stage, steps=2) for stage in TINY["gradicon"].stages[:2])
    training = new_training(replace(TINY["gradicon"], stages=stages))
    train.train(training, tmp_path, until=lambda: training.stage == 1)
    train.train(training, tmp_path, until=lambda: False)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert len(rows) > 3
    assert not rows[0]["folding"]
    assert float(rows[-1]["folding"]) >= 0
    assert [int(row["stage"]) for row in rows] == sorted(int(row["stage"]) for row in rows)


def test_a_stopped_training_leaves_a_state_to_resume_from(tmp_path):
    training = new_training(TINY["unireg"])
    train.train(training, tmp_path, until=lambda: training.drawn >= 1)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 1


def test_a_recipe_that_continues_another_requires_its_state(tmp_path, monkeypatch, capsys):
    words = ["train", "multigradicon", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        train.main()
    assert "continues the training of unigradicon: add --start" in capsys.readouterr().err


def test_a_continued_training_publishes_the_mean_of_both_networks():
    recipe = replace(TINY["gradicon"], stages=TINY["gradicon"].stages[:1])
    first = new_training(replace(recipe, continues=""))
    list(first.run())
    origin = {name: value.clone() for name, value in first.network.state_dict().items()}

    training = new_training(recipe)
    training.start_from(origin)
    list(training.run())
    again = new_training(recipe)
    again.load(training.state())
    name = "netPhi.netPhi.net.netPhi.net.net.downConvs.1.weight"
    trained = training.network.state_dict()[name]
    assert not torch.equal(trained, origin[name])
    for published in (training.weights(), again.weights()):
        torch.testing.assert_close(published[name], (trained + origin[name]) / 2)
        assert published["netPsi.net.lastConv.weight"].any()  # the first U-Net has been copied


def test_tasks_are_drawn_as_often_as_their_sampling_weights():
    training = new_training(RECIPES["unireg"])
    stage = replace(RECIPES["unireg"].stages[1], size=(16, 16, 16))
    drawn = [training.draw(seed, stage).region for seed in range(28)]
    assert drawn[::2] == drawn[1::2]  # a batch of two is of one task
    assert drawn.count("cardiac") == 8
    assert all(drawn.count(name) == 4 for name in ("liver", "head", "abdomen", "chest", "brain"))


def test_the_mean_is_that_with_the_kept_weights_if_there_are_some():
    recipe = replace(TINY["gradicon"], stages=TINY["gradicon"].stages[:1])
    first, second = (
        new_training(replace(recipe, continues="", seed=seed)).network.state_dict()
        for seed in (1, 2)
    )
    training = new_training(recipe)
    training.start_from(first, train.mean_of([first, second]))
    name = "netPhi.netPhi.net.netPhi.net.net.downConvs.1.weight"
    kept = (first[name] + second[name]) / 2
    expected = torch.lerp(first[name], kept, recipe.kept_share)
    assert not torch.equal(expected, first[name])
    torch.testing.assert_close(training.weights()[name], expected)


def test_the_four_u_nets_start_from_the_first_in_the_unit_cube_of_their_lattices():
    recipe = replace(TINY["gradicon"], stages=(*TINY["gradicon"].stages[:2],))
    training = new_training(recipe)
    for _ in training.run():
        if training.stage == 0 and training.step == 3:
            trained = {k: v.clone() for k, v in unets_of(training.network)[0].state_dict().items()}
            break
    published = training.weights()
    training.enter(recipe.stages[1])
    for name, value in training.network.state_dict().items():
        torch.testing.assert_close(published[name], value)
    size = recipe.size[0]
    for unet, factor in zip(unets_of(training.network), (4, 2, 1, 1), strict=True):
        for name, value in unet.state_dict().items():
            voxels = -(-size // factor) - 1
            scale = 31 / voxels if name.startswith("lastConv") else 1
            torch.testing.assert_close(value, scale * trained[name])
    assert trained["lastConv.weight"].any()


def test_the_compact_weights_of_gradicon_stay_below_ten_megabytes():
    network = new_training(RECIPES["unigradicon"]).network
    assert sum(2 * weight.numel() for weight in network.state_dict().values()) < 10e6
