"""Numbered training items: the same whoever makes them, prepared as for inference."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from support.train_cases import write_images
from torch import nn

from zoo.datasets.pairs import load_pair, pair_files
from zoo.errors import UserError
from zoo.io.volume import write_volume
from zoo.registration.gradicon import GradICONInferer
from zoo.registration.intensity import GradICONIntensity
from zoo.registration.unireg import UniRegInferer
from zoo.registration.working_grid import ResizedFrame
from zoo.synthesis.phantom import make_pair
from zoo.training.dataset import Endless, TrainingPairs, collate
from zoo.training.source import TrainingSource

SIZE = (10, 12, 14)
INFERER = GradICONInferer(ResizedFrame(SIZE), intensity=GradICONIntensity("mr"), affine="none")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, shape=(16, 18, 14), axes="LPS", tilt_degrees=10)
    return root


def pairs(root, inferer=INFERER, source=None, **options):
    return TrainingPairs([TrainingSource(root, inferer, **(source or {}))], **options)


def same(one, two):
    keys = {k for k in one if isinstance(one[k], torch.Tensor)}
    return one["name"] == two["name"] and all(torch.equal(one[k], two[k]) for k in keys)


def test_an_item_depends_on_the_seed_and_its_number_alone(images):
    one, two = (pairs(images, seed=5, labels=4) for _ in range(2))
    forward = [one[k] for k in range(6)]
    backward = [two[k] for k in reversed(range(6))][::-1]
    assert all(map(same, forward, backward))
    assert not same(forward[0], pairs(images, seed=6, labels=4)[0])


def test_workers_give_the_same_items(images):
    made = pairs(images)
    loader = torch.utils.data.DataLoader(
        made, batch_size=2, sampler=Endless(2), collate_fn=collate, num_workers=1
    )
    batch = next(iter(loader))
    assert torch.equal(batch["image"], torch.stack([made[0]["image"], made[1]["image"]]))


class Remember(nn.Module):
    """A network that keeps what it was shown."""

    def forward(self, image):
        self.image = image
        return torch.zeros(len(image), 3, *image.shape[2:])


@pytest.mark.parametrize("affine", ["none", "com"])
def test_training_shows_the_network_what_inference_shows_it(images, affine):
    options = {"intensity": GradICONIntensity("mr"), "affine": affine, "bar": False}
    inferer = GradICONInferer(ResizedFrame(SIZE), **options)
    item = pairs(images, inferer, {"split": "val"}, augment=False)[0]
    network = Remember()
    files = pair_files(images / "imagesTr/Ph_0002_0000.nii.gz", images / PARTNER)
    inferer(load_pair(files), network)
    assert torch.equal(item["image"][None], network.image)
    assert item["image"].shape == (2, *SIZE[::-1])


PARTNER = "imagesTr/Ph_0003_0000.nii.gz"


@pytest.mark.parametrize("affine", ["none", "com", "affine"])
def test_labels_lie_where_the_network_sees_their_image(tmp_path, affine):
    """With images that are their own label maps, both agree but for interpolation."""
    write_images(tmp_path, cases=(1,), shape=(28, 26, 24))
    made = make_pair(1, shape=(28, 26, 24), axes="LPS", tilt_degrees=15)
    other = make_pair(1, shape=(30, 22, 26), axes="SRA", tilt_degrees=-5)
    for name, labels, grid in (
        ("Ph_0002_0000.nii.gz", made.fixed_labels, made.fixed_grid),
        ("Ph_0003_0000.nii.gz", other.moving_labels, other.moving_grid),
    ):
        write_volume(tmp_path / "imagesTr" / name, labels.float() + 0.25, grid)
        write_volume(tmp_path / "labelsTr" / name, labels, grid)
    inferer = GradICONInferer(ResizedFrame((40, 40, 40)), affine=affine)
    item = pairs(tmp_path, inferer, {"split": "val"}, labels=99, augment=False)[0]
    for k in range(2):
        inside = item["image"][k] >= 0.25
        apart = (item["image"][k] - 0.25 - item["labels"][k]).abs()[inside]
        assert (apart < 1e-3).float().mean() > 0.6  # the rest are borders between labels
        assert (apart <= 0.51).float().mean() > 0.75


def test_some_of_the_shared_labels_are_drawn(images):
    made = pairs(images, labels=3, augment=False)
    drawn = [set(made[k]["labels"].unique().tolist()) - {0} for k in range(12)]
    assert all(len(labels) == 3 for labels in drawn)
    assert len(set().union(*drawn)) > 6
    for k in range(12):
        first, second = made[k]["labels"]
        assert set(first.unique().tolist()) == set(second.unique().tolist())
    assert "labels" not in pairs(images)[0]


def test_the_mask_says_where_the_moving_image_reaches(images, tmp_path):
    made = make_pair(1, shape=(20, 20, 20))
    write_images(tmp_path, cases=(1,), shape=(20, 20, 20))
    shifted = made.moving_grid.affine.clone()
    shifted[0, 3] += 20.0  # ten voxels: half the field of view
    grid = type(made.moving_grid)(made.moving_grid.shape, shifted)
    write_volume(tmp_path / PARTNER, made.moving, grid, torch.int16)
    from zoo.registration.working_grid import NativeFrame

    inferer = UniRegInferer(NativeFrame(), affine="none")
    item = pairs(tmp_path, inferer, {"split": "val"}, augment=False, masks=True)[0]
    across = item["mask"][0].mean((0, 1))  # UniReg's order: foot to head, ..., side to side
    assert across.tolist() == [0.0] * 10 + [1.0] * 10


def test_random_order_follows_the_weights(images):
    sources = [
        TrainingSource(images, INFERER, weight=w, task={"k": k}) for k, w in enumerate((1, 3))
    ]
    made = TrainingPairs(sources, augment=False)
    turns = Counter(made._turn(k, np.random.default_rng([0, k])) for k in range(1000))
    assert turns[1] / 1000 == pytest.approx(0.75, abs=0.04)


def test_a_round_gives_each_source_its_turns_evenly_spread(images):
    weights = (4, 2, 2, 2, 2, 2)
    sources = [TrainingSource(images, INFERER, weight=w) for w in weights]
    made = TrainingPairs(sources, order="round robin")
    turns = [made._turn(k, np.random.default_rng(0)) for k in range(28)]
    assert Counter(turns[:14]) == dict(enumerate(weights))
    assert turns[14:] == turns[:14]
    gaps = np.diff([k for k, turn in enumerate(turns) if turn == 0])
    assert gaps.max() <= 6


@pytest.mark.parametrize(("batch", "processes"), [(1, 2), (2, 3)])
def test_processes_share_the_items_of_one_process_with_a_larger_batch(batch, processes):
    alone = list(islice(Endless(batch * processes), 60))
    shared = [list(islice(Endless(batch, r, processes), 60 // processes)) for r in range(processes)]
    assert alone == list(range(60))
    for step in range(60 // (batch * processes)):
        taken = [k for own in shared for k in own[step * batch : (step + 1) * batch]]
        assert taken == alone[step * batch * processes : (step + 1) * batch * processes]


def test_a_sampler_goes_on_from_a_step():
    sampler = Endless(2, 1, 2)
    whole = list(islice(sampler, 20))
    sampler.step = 3
    assert list(islice(sampler, 14)) == whole[6:]


def test_memory_for_prepared_pairs_is_bounded(images):
    made = pairs(images, cache_mib=0)
    made[0], made[1]
    assert made.kept.held == 0
    kept = pairs(images)
    for k in range(20):
        kept[k]
    assert 0 < len(kept.kept.things) <= 12
    assert kept.kept.held == len(kept.kept.things) * 2 * 4 * int(np.prod(SIZE))


def test_a_batch_of_several_tasks_is_refused(images):
    sources = [TrainingSource(images, INFERER, task={"k": k}) for k in range(2)]
    made = TrainingPairs(sources, order="round robin")
    with pytest.raises(UserError, match="batch size of 1"):
        collate([made[0], made[1]])
