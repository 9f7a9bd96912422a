"""The table of UniReg's tasks fits the network and the losses."""

import pytest
import torch

from zoo.errors import UserError
from zoo.losses import BoxLNCC
from zoo.networks.conditions import REGION, TYPE
from zoo.networks.unireg_tasks import (
    COARSEST,
    CT_WINDOW,
    MR_PERCENTILES,
    TASKS,
    check_body,
    coarser,
)


def test_there_is_a_task_for_every_region_and_both_types():
    assert set(TASKS) == set(REGION.options)
    assert {task.type for task in TASKS.values()} == set(TYPE.options)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_fits_the_network_and_its_loss(task):
    assert all(n % COARSEST == 0 for n in task.size)
    image = torch.rand(1, 1, 4, 10, 10)
    assert torch.isfinite(BoxLNCC(task.window)(image, image.flip(2)))
    assert TYPE.encode(task.type, 1).shape == (1, 2)
    assert REGION.encode(task.region, 1).shape == (1, 6)


def test_the_settings_are_the_published_ones():
    cardiac, liver = TASKS["cardiac"], TASKS["liver"]
    assert (cardiac.size, cardiac.window) == ((16, 128, 128), (3, 9, 9))
    assert TASKS["brain"].size == (192, 224, 160)
    smoothness = {region: task.smoothness for region, task in TASKS.items() if task.smoothness != 1}
    assert smoothness == {"cardiac": 0.5, "liver": 10}
    assert [region for region, task in TASKS.items() if task.type == "intra"] == [
        "cardiac",
        "liver",
    ]
    assert {r for r, task in TASKS.items() if task.prealigned} == {"head", "abdomen", "chest"}
    assert cardiac.sampling == 2 * liver.sampling
    assert CT_WINDOW == (-150, 250)
    assert MR_PERCENTILES == (0.5, 99.5)


def test_a_coarser_lattice_is_a_multiple_and_keeps_the_ratio():
    assert [coarser(n, (80, 96, 96)) for n in TASKS["brain"].size] == [96, 112, 80]
    assert coarser(16, (56, 64, 64)) == 16  # the coarsest level has at least two voxels
    for task in TASKS.values():
        assert all(coarser(n, (56, 64, 64)) % COARSEST == 0 for n in task.size)


@pytest.mark.parametrize("body", [(80, 1, 999), (80, 96), (0, 0, 0)])
def test_a_lattice_of_another_shape_is_refused(body):
    with pytest.raises(UserError, match="80, 96, 96"):
        check_body(body)


@pytest.mark.parametrize("body", [(160, 192, 192), (80, 96, 96), (56, 64, 64), (40, 48, 48)])
def test_a_scaled_lattice_is_accepted(body):
    assert check_body(body) == body
