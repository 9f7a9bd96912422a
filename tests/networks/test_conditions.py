"""Conditions are encoded as weights; a value that has no clear meaning is refused."""

import pytest
import torch

from zoo import UserError
from zoo.networks.conditions import REGION, TYPE

REGION_IDS = {"chest": 0, "abdomen": 1, "head": 2, "liver": 3, "cardiac": 4, "brain": 5}


@pytest.mark.parametrize(("name", "index"), REGION_IDS.items())
def test_a_region_is_one_hot_at_the_index_of_the_released_weights(name, index):
    assert torch.equal(REGION.encode(name, 1), torch.eye(6)[[index]])


@pytest.mark.parametrize(("name", "index"), [("inter", 0), ("intra", 1)])
def test_a_type_is_one_hot_at_the_index_of_the_released_weights(name, index):
    assert torch.equal(TYPE.encode(name, 2), torch.eye(2)[[index, index]])


def test_each_pair_of_a_batch_may_have_its_own_region():
    weights = REGION.encode(["brain", {"chest": 1, "abdomen": 3}, "unknown"], 3)
    expected = [[0, 0, 0, 0, 0, 1], [0.25, 0.75, 0, 0, 0, 0], [1 / 6] * 6]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_unknown_may_be_part_of_a_mixture():
    weights = REGION.encode({"unknown": 0.5, "liver": 0.5}, 1)
    torch.testing.assert_close(weights, torch.tensor([[1, 1, 1, 7, 1, 1]]) / 12)


def test_a_tensor_holds_the_weights_themselves():
    weights = torch.tensor([[0, 2, 0, 0, 0, 2.0]])
    torch.testing.assert_close(REGION.encode(weights, 2), weights.expand(2, -1) / 4)


@pytest.mark.parametrize(
    ("condition", "value", "message"),
    [
        (TYPE, None, "needs the type of the pair: give one of inter, intra"),
        (REGION, None, "give one of chest, abdomen, head, liver, cardiac, brain, unknown"),
        (TYPE, "Inters", "'Inters' is unknown; did you mean 'inter'"),
        (TYPE, "unknown", "choose one of inter, intra"),
        (REGION, "abdomne", "'abdomne' is unknown; did you mean 'abdomen'"),
        (REGION, "foot", "'foot' is unknown; choose one of chest"),
        (REGION, {"chest": 0.5, "bran": 0.5}, "did you mean 'brain'"),
        (REGION, {"chest": -1, "brain": 2}, "not a mixture"),
        (REGION, {"chest": 0}, "not a mixture"),
        (REGION, {}, "not a mixture"),
        (REGION, {"chest": float("nan")}, "not a mixture"),
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
def test_an_invalid_condition_is_refused_with_advice(condition, value, message):
    with pytest.raises(UserError, match=message):
        condition.encode(value, 3)
