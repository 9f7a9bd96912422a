import numpy as np
import pytest
import torch
from monai.metrics import compute_dice

from zoo.measures import dice, dice_per_label, shared_labels

SHAPE = (9, 7, 8)


def random_labels(seed, values, dtype=torch.int16):
    choice = np.random.default_rng(seed).choice(values, size=SHAPE)
    return torch.tensor(choice, dtype=dtype)


@pytest.mark.parametrize("seed", range(3))
def test_dice_of_masks_is_that_of_monai(seed):
    first, second = (random_labels(seed + k, (0, 1)) == 1 for k in (0, 10))
    expected = compute_dice(first[None, None].float(), second[None, None].float())
    assert dice(first, second) == pytest.approx(float(expected))


def test_dice_of_an_empty_mask_is_zero_and_of_two_empty_masks_undefined():
    mask, empty = torch.ones(SHAPE, dtype=torch.bool), torch.zeros(SHAPE, dtype=torch.bool)
    assert dice(mask, empty) == 0
    assert dice(empty, empty) is None


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((0, 1, 2, 7), torch.uint8),
        ((0, -3, 2, 900), torch.int16),
        ((0, 5, 3_000_000), torch.int32),  # too wide for a table of counts
    ],
)
def test_dice_per_label_is_that_of_the_masks(values, dtype):
    first, second = random_labels(1, values, dtype), random_labels(2, values, dtype)
    labels = shared_labels(first, second)
    assert labels == sorted(set(values) - {0})
    expected = {label: dice(first == label, second == label) for label in labels}
    assert dice_per_label(first, second, labels) == expected


def test_dice_per_label_takes_maps_of_different_types_and_labels_that_do_not_occur():
    first = random_labels(1, (0, 1, 2), torch.uint8)
    second = random_labels(2, (0, 1, 300), torch.int16)
    overlaps = dice_per_label(first, second, [1, 2, 4])
    assert overlaps[1] == dice(first == 1, second == 1)
    assert overlaps[2] == 0
    assert overlaps[4] is None
    assert dice_per_label(first, second, []) == {}


def test_shared_labels_leave_out_the_background_and_what_one_map_lacks():
    first, second = random_labels(1, (0, 1, 2, 9)), random_labels(2, (0, 2, 9, 11))
    assert shared_labels(first, second) == [2, 9]
    assert shared_labels(first, 0 * second) == []
