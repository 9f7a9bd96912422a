"""Votes of label maps, beside numpy and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from zoo.atlases import LabelVotes, labels_with_one_voter, voting
from zoo.geometry import Grid

GRID = Grid.from_spacing((9, 7, 5))
LABELS = (0, 3, 17, 2035)


def voters(count, seed=0):
    random = np.random.default_rng(seed)
    labels = random.choice(LABELS, size=(count, *GRID.shape))
    weights = random.uniform(0.1, 1, size=labels.shape).astype(np.float32)
    weights[random.uniform(size=labels.shape) < 0.1] = 0
    return labels, weights


def votes_of(labels, weights, folder):
    votes = LabelVotes(GRID, folder)
    for one, weight in zip(labels, weights, strict=True):
        votes.add(torch.from_numpy(one), torch.from_numpy(weight))
    return votes


def by_numpy(labels, weights):
    """Return winners and shares with one array entry per label, which the package avoids."""
    sums = np.stack([np.where(labels == label, weights, 0).sum(0) for label in LABELS])
    winners = np.array(LABELS)[sums.argmax(0)]
    total = weights.sum(0)
    return np.where(total > 0, winners, 0), sums.max(0) / np.maximum(total, 1e-30)


@pytest.mark.parametrize("slab", [1 << 22, 40])
def test_weighted_votes_are_those_of_numpy_whatever_the_slab(tmp_path, monkeypatch, slab):
    monkeypatch.setattr(voting, "SLAB_VALUES", slab)
    labels, weights = voters(6)
    vote = votes_of(labels, weights, tmp_path).weighted()
    winners, shares = by_numpy(labels, weights)
    np.testing.assert_array_equal(vote.labels.numpy(), winners)
    np.testing.assert_allclose(vote.confidence.numpy(), shares, rtol=1e-5)


def test_a_majority_is_that_of_simpleitk_where_it_is_unique(tmp_path):
    labels, _ = voters(5, seed=1)
    vote = votes_of(labels, np.ones(labels.shape, np.float32), tmp_path).majority()
    undecided = 60000
    images = [sitk.GetImageFromArray(one.astype(np.uint16)) for one in labels]
    expected = sitk.GetArrayFromImage(sitk.LabelVoting(images, undecided))
    decided = expected != undecided
    assert 0.5 < decided.mean() < 1
    np.testing.assert_array_equal(vote.labels.numpy()[decided], expected[decided])


def test_the_smallest_of_labels_with_equal_votes_wins(tmp_path):
    labels = np.stack([np.full(GRID.shape, label) for label in (17, 3)])
    vote = votes_of(labels, np.ones(labels.shape, np.float32), tmp_path).majority()
    assert torch.all(vote.labels == 3)
    assert torch.all(vote.confidence == 0.5)


def test_a_voter_without_weight_has_no_vote_and_without_voters_the_label_is_0(tmp_path):
    labels = np.stack([np.full(GRID.shape, label) for label in (3, 17, 17)])
    weights = np.ones(labels.shape, np.float32)
    weights[1:, :4] = 0
    weights[:, 0] = 0
    votes = votes_of(labels, weights, tmp_path)
    for vote in (votes.weighted(), votes.majority()):
        assert torch.all(vote.labels[0] == 0)
        assert torch.all(vote.confidence[0] == 0)
        assert torch.all(vote.labels[1:4] == 3)
        assert torch.all(vote.labels[4:] == 17)


def test_the_order_of_the_voters_does_not_matter_for_the_majority(tmp_path):
    labels, weights = voters(6, seed=2)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    first = votes_of(labels, weights, one).majority()
    second = votes_of(labels[::-1], weights[::-1], other).majority()
    assert torch.equal(first.labels, second.labels)


def test_labels_of_one_voter_are_found():
    assert labels_with_one_voter([{0, 1, 2}, {0, 2, 5}, {2, 7}]) == {1, 5, 7}
