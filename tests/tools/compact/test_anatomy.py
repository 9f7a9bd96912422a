"""Packed anatomy: what is packed and left out, and training on it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from compact import train
from compact.anatomy import TRAINING_HEADS, main, pack, read_people
from compact.checkpoints import read_network
from compact.gradicon import unets_of
from compact.persons import draw_person_crops, person_losses
from compact.recipes import RECIPES, SHAPES, Mixture, Stage
from compact.start import new_training
from compact.subjects import Subject, draw_subject, whole_voxels
from compact.validation import validate

from zoo.errors import UserError
from zoo.networks.unet import UNet
from zoo.synthesis.rendered_pairs import PersonPair

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder with two training heads, a head for evaluation, and two CTs."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "anatomy_synthseg").mkdir()
    (folder / "hn_openkbp_train").mkdir()
    random = np.random.default_rng(0)
    for number in (*TRAINING_HEADS, "13"):
        labels = np.zeros((42, 45, 48), np.int32)
        labels[4:38, 4:40, 4:44] = 516
        labels[9:33, 9:36, 9:39] = 2
        labels[20:33, 9:36, 9:39] = 41
        labels[14:20, 15:25, 12:30] = random.choice([4, 17])
        name = f"anatomy_synthseg/head_labels_{number}.nii.gz"
        nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), folder / name)
    for number in (100, 101):
        units = np.full((40, 36, 32), -1024, np.int16)
        units[8:32, 6:30, 4:30] = random.integers(-60, 120, (24, 24, 26))
        organs = np.zeros(units.shape, np.uint8)
        organs[12:20, 12:20, 10:20], organs[22:28, 12:20, 10:20] = 1, 3
        for part, values in (("ct", units), ("oars", organs)):
            path = folder / f"hn_openkbp_train/pt_{number}_{part}.nii.gz"
            nib.save(nib.Nifti1Image(values, np.diag([4.0, 4, 2.5, 1])), path)
    return folder


@pytest.fixture(scope="module")
def packed(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "anatomy.npz"
    assert pack(data, path) == (12, 2)
    return path


def test_heads_and_ct_come_back_as_they_are_in_the_files(data, packed):
    people = read_people(packed)
    assert len(people.heads) == 12  # the thirteenth is for evaluation
    one = people.heads[0]
    assert one.spacing.tolist() == [1.5, 1.5, 1.5]
    assert sorted(one.labels.unique().tolist())[-2:] == [41, 216]
    volume = {code: int((one.labels == code).sum()) * 1.5**3 for code in (41, 216)}
    file = nib.load(data / "anatomy_synthseg/head_labels_01.nii.gz").get_fdata()
    assert volume[41] == pytest.approx((file == 41).sum() * 8, rel=0.1)
    assert volume[216] == pytest.approx((file == 516).sum() * 8, rel=0.1)

    one = people.cts[0]
    assert one.spacing.tolist() == [4.0, 4.0, 2.5]
    assert tuple(one.labels.shape) == tuple(one.ct.shape) == (26, 26, 28)  # the body and a margin
    units = nib.load(data / "hn_openkbp_train/pt_100_ct.nii.gz").get_fdata()
    assert np.abs(one.ct.numpy() - units[7:33, 5:31, 3:31]).max() <= 4  # half of the step
    assert int((one.labels == 3).sum()) == 6 * 8 * 10


def test_the_file_stays_below_its_limit(data, packed, tmp_path, monkeypatch, capsys):
    small = tmp_path / "small.npz"
    heads, cts = pack(data, small, packed.stat().st_size - 5000)
    assert heads + cts < 14
    assert small.stat().st_size < packed.stat().st_size
    monkeypatch.setattr(sys, "argv", ["anatomy", str(data), "--out", str(tmp_path / "all.npz")])
    main()
    assert "12 heads, 2 CTs" in capsys.readouterr().out


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"absent\.npz does not exist.*compact\.anatomy"):
        read_people(tmp_path / "absent.npz")


def test_subjects_are_drawn_with_the_shares_of_the_mixture():
    mixture = Mixture(heads=0.3, ct=0.2, two_heads=0.1)
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_subject(mixture, generator) for _ in range(2000)]
    shares = {subject: drawn.count(subject) / len(drawn) for subject in set(drawn)}
    assert shares == {
        Subject("heads"): pytest.approx(0.3, abs=0.03),
        Subject("ct"): pytest.approx(0.2, abs=0.03),
        Subject("heads", two=True): pytest.approx(0.1, abs=0.03),
        Subject("shapes"): pytest.approx(0.4, abs=0.03),
    }
    assert draw_subject(SHAPES, generator) == Subject("shapes")


def shifted_pair(shift=3):
    """Return a cube with two labels, and the same cube shifted along the first axis."""
    labels = torch.zeros(40, 40, 40, dtype=torch.uint8)
    labels[10:20, 10:30, 10:30], labels[20:30, 10:30, 10:30] = 1, 2
    moved = labels.roll(shift, 0)
    return PersonPair(labels[None] / 2, moved[None] / 2, labels, moved)


def test_crops_of_two_persons_come_in_both_directions_with_the_masks_of_shared_labels():
    generator = torch.Generator().manual_seed(0)
    crops = draw_person_crops([shifted_pair()], 32, 3, 1.0, generator)
    assert tuple(crops.fixed.shape) == (6, 1, 32, 32, 32)
    assert torch.equal(crops.fixed[:3], crops.moving[3:])
    assert torch.equal(crops.fixed_masks[:3], crops.moving_masks[3:])
    assert crops.present.sum(dim=1).tolist() == [2] * 6
    for image, masks in zip(crops.fixed[:, 0], crops.fixed_masks, strict=True):
        values = {round(float(image[mask > 0].mean()), 2) for mask in masks if mask.any()}
        assert values == {0.5, 1.0}
    assert (
        draw_person_crops(
            [PersonPair(*[torch.zeros(1, 40, 40, 40)] * 2, *[torch.zeros(40, 40, 40).byte()] * 2)],
            32,
            3,
            1.0,
            generator,
        )
        is None
    )


def test_the_identity_has_the_dice_of_the_crops_and_is_consistent():
    generator = torch.Generator().manual_seed(0)
    crops = draw_person_crops([shifted_pair()], 32, 3, 1.0, generator)
    overlap, consistency = person_losses(UNet(width=8).eval(), crops, 2, generator)
    common = (crops.fixed_masks * crops.moving_masks).sum((2, 3, 4))
    total = (crops.fixed_masks + crops.moving_masks).sum((2, 3, 4))
    dice = (2 * common / total)[crops.present > 0].mean()
    assert float(overlap) == pytest.approx(1 - float(dice), abs=1e-5)
    assert float(consistency) == pytest.approx(0, abs=1e-6)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr("compact.gradicon.CALIBRATION_STEPS", 2)
    monkeypatch.setattr("compact.gradicon.KEPT_SUBJECTS", 4)
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 2)
    stage = Stage(3, (32, 32, 32), 1e-3, 1e-2, parts=1, batch=4, relative=True)
    mixture = Mixture(heads=0.3, ct=0.2, two_heads=0.3, two_cts=0.1)
    return replace(RECIPES["multigradicon-anatomy"], stages=(stage,), mixture=mixture)


@pytest.mark.slow
def test_a_resumed_training_on_anatomy_equals_an_uninterrupted_one(tmp_path, packed, tiny):
    people = read_people(packed)
    whole, first = (new_training(tiny, "cpu", people) for _ in range(2))
    expected = list(whole.run())
    assert any("overlap" in losses for losses in expected)
    resumed = []
    for losses in first.run():
        resumed.append(losses)
        if len(resumed) == 2:
            break
    torch.save(first.state(), tmp_path / "state.pt")
    second = new_training(tiny, "cpu", people)
    second.load(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed += list(second.run())
    assert [r["loss"] for r in resumed] == pytest.approx([e["loss"] for e in expected], rel=1e-5)


def test_the_command_goes_on_from_published_weights_and_names_the_data(
    tmp_path, packed, tiny, monkeypatch, capsys
):
    weights = str(ROOT / "bundles/multigradicon/models/model_compact.safetensors")
    monkeypatch.setitem(RECIPES, "tiny", tiny)
    words = ["train", "tiny", "--out", str(tmp_path), "--start", weights, "--minutes", "0"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit):
        train.main()
    assert "add --anatomy" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--anatomy", str(packed)])
    train.main()
    from safetensors import safe_open

    with safe_open(tmp_path / "model_compact.safetensors", "pt") as file:
        assert "SynthSeg" in file.metadata()["data"]
        assert "OpenKBP" in file.metadata()["data"]
        name = "netPhi.netPhi.net.netPhi.net.net.downConvs.1.weight"
        trained = file.get_tensor(name).float()
    with safe_open(weights, "pt") as file:
        start = file.get_tensor(name).float()
    assert 0 < float((trained - start).norm()) < 0.1 * float(start.norm())


def test_unireg_renders_brains_and_heads_with_their_axes_from_foot_to_head(packed):
    people = read_people(packed)
    recipe = replace(RECIPES["unireg-anatomy"], mixture=Mixture(heads=1.0, ct=1.0))
    training = new_training(recipe, "cpu", people)
    first = people.heads[0]
    assert torch.equal(training.people.heads[0].labels, first.labels.permute(2, 1, 0))
    assert training.people.cts[0].spacing.tolist() == [2.5, 4.0, 4.0]
    stage = replace(recipe.stages[0], size=(16, 16, 16))
    plain = new_training(RECIPES["unireg"])
    for seed in range(14):
        drawn, shapes = (one.draw(seed, stage) for one in (training, plain))
        assert drawn.fixed.shape == shapes.fixed.shape
        assert (drawn.region, drawn.pairing) == (shapes.region, shapes.pairing)
        rendered = drawn.region in ("brain", "head")
        assert torch.equal(drawn.truth, shapes.truth) != rendered


@pytest.mark.slow
def test_all_u_nets_train_together_on_whole_persons_of_both_kinds(packed, monkeypatch):
    monkeypatch.setattr("compact.validation.VALIDATION_PAIRS", 1)
    people = read_people(packed)
    stage = Stage(2, (65, 65, 65), 1e-4, 1e-3, parts=4, sigma=2)
    mixture = Mixture(heads=0.5, two_heads=0.5)
    recipe = RECIPES["multigradicon-whole"]
    recipe = replace(recipe, seed=4, stages=(stage,), mixture=mixture)  # draws both kinds in turn
    training = new_training(recipe, "cpu", people)
    training.start_from(
        read_network(ROOT / "bundles/multigradicon/models/model_compact.safetensors", "cpu")
    )
    before = [unet.lastConv.weight.clone() for unet in unets_of(training.network)]
    losses = list(training.run())
    assert (
        {"dice" in terms for terms in losses}
        == {"error" in terms for terms in losses}
        == {True, False}
    )
    assert all(("dice" in terms) != ("error" in terms) for terms in losses)
    for unet, start in zip(unets_of(training.network), before, strict=True):
        assert not torch.equal(unet.lastConv.weight, start)
    assert validate(training)["error_across"] > 0
    assert len(training.state()["network"]) == 188


def test_a_whole_person_fills_the_grid():
    for size in (64, 128):
        low, high = whole_voxels("heads", (size,) * 3)
        assert (low * size, high * size) == pytest.approx((150, 250))
