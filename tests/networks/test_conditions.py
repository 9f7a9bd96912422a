"""Conditions: names in, weights out, and no guessing."""

import pytest
import torch

from zoo import UserError
from zoo.networks.conditions import REGION, TYPE

REGION_IDS = {"chest": 0, "abdomen": 1, "head": 2, "liver": 3, "cardiac": 4, "brain": 5}


@pytest.mark.parametrize(("name", "place"), REGION_IDS.items())
def test_a_region_is_one_hot_at_its_trained_place(name, place):
    assert torch.equal(REGION.encode(name, 1), torch.eye(6)[[place]])


@pytest.mark.parametrize(("name", "place"), [("inter", 0), ("intra", 1)])
def test_a_type_is_one_hot_at_its_trained_place(name, place):
    assert torch.equal(TYPE.encode(name, 2), torch.eye(2)[[place, place]])


def test_each_pair_of_a_batch_may_have_its_own_region():
    weights = REGION.encode(["brain", {"chest": 1, "abdomen": 3}, "unknown"], 3)
    expected = [[0, 0, 0, 0, 0, 1], [0.25, 0.75, 0, 0, 0, 0], [1 / 6] * 6]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_unknown_may_be_part_of_a_mixture():
    weights = REGION.encode({"unknown": 0.5, "liver": 0.5}, 1)
    torch.testing.assert_close(weights, torch.tensor([[1, 1, 1, 7, 1, 1]]) / 12)


def test_a_tensor_holds_the_weights_themselves():
    given = torch.tensor([[0, 2, 0, 0, 0, 2.0]])
    torch.testing.assert_close(REGION.encode(given, 2), given.expand(2, -1) / 4)


@pytest.mark.parametrize(
    ("condition", "value", "message"),
    [
        (TYPE, None, "must be told the type of the pair: one of inter, intra"),
        (REGION, None, "one of chest, abdomen, head, liver, cardiac, brain, unknown"),
        (TYPE, "Inters", "'Inters' is not known; did you mean 'inter'"),
        (TYPE, "unknown", "Allowed: inter, intra"),
        (REGION, "abdomne", "'abdomne' is not known; did you mean 'abdomen'"),
        (REGION, "foot", "'foot' is not known; Allowed: chest"),
        (REGION, {"chest": 0.5, "bran": 0.5}, "did you mean 'brain'"),
        (REGION, {"chest": -1, "brain": 2}, "no mixture"),
        (REGION, {"chest": 0}, "no mixture"),
        (REGION, {}, "no mixture"),
        (REGION, {"chest": float("nan")}, "no mixture"),
        (REGION, {"chest": "much"}, "weight 'much'"),
        (REGION, [], "neither a name nor a list"),
        (REGION, 3, "neither a name nor a list"),
        (REGION, [3, 4, 5], "3 is not a name"),
        (REGION, ["chest", "liver"], "2 pairs, but the batch has 3"),
        (REGION, torch.ones(3, 2), r"shape \[3, 2\]"),
        (REGION, torch.ones(6), r"shape \[6\]"),
        (TYPE, {"inter": 0.5, "intra": 0.5}, "cannot be mixed; choose inter or intra"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_advice(condition, value, message):
    with pytest.raises(UserError, match=message):
        condition.encode(value, 3)
