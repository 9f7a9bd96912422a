"""The numbered training items: reproducible, shared between processes, cached."""

import pickle
from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from support.train_cases import write_images

from zoo.errors import UserError
from zoo.registration.gradicon import GradICONInferer
from zoo.registration.intensity import GradICONIntensity
from zoo.registration.working_grid import ResizedFrame
from zoo.training.dataset import EndlessSampler, TrainingPairs, collate
from zoo.training.preparation import PairPreparation
from zoo.training.source import TrainingSource

SIZE = (10, 12, 14)
PREPARATION = PairPreparation(
    GradICONInferer(ResizedFrame(SIZE), intensity=GradICONIntensity("mr"), affine="none")
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, shape=(16, 18, 14), axes="LPS", tilt_degrees=10)
    return root


def pairs(root, **options):
    return TrainingPairs([TrainingSource(root, PREPARATION)], **options)


def same(one, two):
    keys = {k for k in one if isinstance(one[k], torch.Tensor)}
    return one["name"] == two["name"] and all(torch.equal(one[k], two[k]) for k in keys)


def test_an_item_depends_only_on_the_seed_and_its_number(images):
    one, two = (pairs(images, seed=5, labels=4) for _ in range(2))
    forward = [one[k] for k in range(6)]
    backward = [two[k] for k in reversed(range(6))][::-1]
    assert all(map(same, forward, backward))
    assert not same(forward[0], pairs(images, seed=6, labels=4)[0])


def test_loader_workers_give_the_same_items(images):
    dataset = pairs(images)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=2, sampler=EndlessSampler(2), collate_fn=collate, num_workers=1
    )
    batch = next(iter(loader))
    assert torch.equal(batch["image"], torch.stack([dataset[0]["image"], dataset[1]["image"]]))


def test_a_dataset_can_be_sent_to_a_process_that_was_not_forked(images):
    """Loader workers of macOS and Windows start anew and receive the pickled dataset."""
    dataset = pairs(images, seed=3, labels=4)
    before = dataset[1]
    sent, collated = pickle.loads(pickle.dumps((dataset, collate)))
    assert same(sent[1], before)
    assert collated is collate


def test_some_of_the_shared_labels_are_drawn(images):
    dataset = pairs(images, labels=3, augment=False)
    drawn = [set(dataset[k]["labels"].unique().tolist()) - {0} for k in range(12)]
    assert all(len(labels) == 3 for labels in drawn)
    assert len(set().union(*drawn)) > 6
    for k in range(12):
        first, second = dataset[k]["labels"]
        assert set(first.unique().tolist()) == set(second.unique().tolist())
    assert "labels" not in pairs(images)[0]


def test_an_aligned_source_adds_loss_images_of_other_contrasts(tmp_path):
    write_images(tmp_path, shape=(16, 18, 14), contrasts=("t1", "t2"))
    source = TrainingSource(tmp_path, PREPARATION, aligned=True)
    plain, viewed = (TrainingPairs([source], augment=a, masks=True) for a in (False, True))
    same_contrasts = []
    for k in range(8):
        item = plain[k]
        assert item["loss_image"].shape == item["image"].shape == (2, *SIZE[::-1])
        assert item["mask"].shape == (1, *SIZE[::-1])
        assert not torch.equal(item["loss_image"], viewed[k]["loss_image"])
        same_contrasts.append(torch.equal(item["loss_image"], item["image"]))
    assert not all(same_contrasts)
    assert "loss_image" not in pairs(tmp_path)[0]


def test_random_order_follows_the_weights(images):
    sources = [
        TrainingSource(images, PREPARATION, weight=w, task={"k": k}) for k, w in enumerate((1, 3))
    ]
    dataset = TrainingPairs(sources, augment=False)
    turns = Counter(dataset._source_index(k, np.random.default_rng([0, k])) for k in range(1000))
    assert turns[1] / 1000 == pytest.approx(0.75, abs=0.04)


def test_round_robin_spreads_the_turns_of_each_source_evenly(images):
    weights = (4, 2, 2, 2, 2, 2)
    sources = [TrainingSource(images, PREPARATION, weight=w) for w in weights]
    dataset = TrainingPairs(sources, order="round robin")
    turns = [dataset._source_index(k, np.random.default_rng(0)) for k in range(28)]
    assert Counter(turns[:14]) == dict(enumerate(weights))
    assert turns[14:] == turns[:14]
    gaps = np.diff([k for k, turn in enumerate(turns) if turn == 0])
    assert gaps.max() <= 6


@pytest.mark.parametrize(("batch", "processes"), [(1, 2), (2, 3)])
def test_processes_share_the_items_of_one_process_with_a_larger_batch(batch, processes):
    alone = list(islice(EndlessSampler(batch * processes), 60))
    shared = [
        list(islice(EndlessSampler(batch, r, processes), 60 // processes)) for r in range(processes)
    ]
    assert alone == list(range(60))
    for step in range(60 // (batch * processes)):
        taken = [k for own in shared for k in own[step * batch : (step + 1) * batch]]
        assert taken == alone[step * batch * processes : (step + 1) * batch * processes]


def test_a_sampler_resumes_at_a_step():
    sampler = EndlessSampler(2, 1, 2)
    whole = list(islice(sampler, 20))
    sampler.step = 3
    assert list(islice(sampler, 14)) == whole[6:]


def test_the_memory_of_cached_pairs_is_limited(images):
    dataset = pairs(images, cache_mib=0)
    dataset[0], dataset[1]
    assert dataset.cache.nbytes == 0
    assert not dataset.cache.pairs
    cached = pairs(images)
    for k in range(20):
        cached[k]
    assert 0 < len(cached.cache.pairs) <= 12
    assert cached.cache.nbytes == len(cached.cache.pairs) * 2 * 4 * int(np.prod(SIZE))


def test_a_batch_of_several_tasks_is_refused(images):
    sources = [TrainingSource(images, PREPARATION, task={"k": k}) for k in range(2)]
    dataset = TrainingPairs(sources, order="round robin")
    with pytest.raises(UserError, match="batch_size to 1"):
        collate([dataset[0], dataset[1]])
