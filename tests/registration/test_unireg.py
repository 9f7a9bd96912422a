import pytest

from zoo.errors import UserError
from zoo.networks.unireg_tasks import TASKS
from zoo.registration.unireg import lattice, require_conditions


@pytest.mark.parametrize("region", TASKS)
def test_the_lattice_is_the_tasks_grid_with_sides_first(region):
    assert lattice(region) == tuple(reversed(TASKS[region].size))


@pytest.mark.parametrize("region", [None, "unknown", {"chest": 0.5, "abdomen": 0.5}])
def test_a_region_without_a_task_of_its_own_takes_the_bodys_lattice(region):
    assert lattice(region) == lattice("abdomen")


def test_conditions_that_were_told_pass():
    require_conditions("intra", {"chest": 1.0})


@pytest.mark.parametrize(
    ("type", "region", "said"),
    [(None, "brain", "inter, intra"), ("inter", None, "chest, abdomen, head")],
)
def test_a_condition_that_nobody_told_is_asked_for(type, region, said):
    with pytest.raises(UserError, match=said):
        require_conditions(type, region)
