"""UniReg takes images in an anatomical axis order, on the shape of its region."""

import pytest
import torch
from support.inferer_cases import ShiftAlong, images_of, ramp_pair

from zoo.errors import UserError
from zoo.registration.unireg import UniRegInferer, lattice, require_conditions
from zoo.registration.working_grid import AnatomicalFrame
from zoo.synthesis.phantom import make_pair


@pytest.mark.parametrize("axes", ["LPS", "SAR", "PIR"])
def test_the_first_axis_runs_from_foot_to_head_in_any_orientation(axes):
    phantom = make_pair(1, shape=(20, 24, 16), spacing=(2, 1.5, 3), axes=axes)
    pair, frame = ramp_pair(phantom), AnatomicalFrame((8, 16, 24))
    inferer = UniRegInferer(frame, type="inter", region="abdomen", affine="none", bar=False)
    work = frame(*images_of(phantom), pair, None)
    centre = phantom.fixed_grid.centre[None]
    for axis, letters in enumerate(("SI", "AP", "RL")):
        result = inferer(pair, ShiftAlong(axis))
        column = next(k for k, code in enumerate(work.grid.axis_codes) if code in letters)
        step = result.transform.map_points(centre) - centre
        assert torch.allclose(step[0], 2 * work.grid.linear[:, column])
        assert work.grid.shape[column] == {"SI": 24, "AP": 16, "RL": 8}[letters]
        assert result.notes["kernel_norms"] == {"1/1": [2.0]}


@pytest.mark.parametrize(
    ("region", "shape"),
    [("brain", (160, 224, 192)), ("abdomen", (192, 192, 160)), ("lung", (192, 192, 160))],
)
def test_the_shape_of_a_region_is_that_of_its_training(region, shape):
    assert lattice(region) == shape


@pytest.mark.parametrize("region", [None, "unknown", {"chest": 0.5, "abdomen": 0.5}])
def test_other_regions_take_the_shape_of_the_body(region):
    assert lattice(region) == lattice("abdomen")


def test_a_pair_with_both_conditions_passes():
    require_conditions("intra", {"chest": 1.0})


@pytest.mark.parametrize(
    ("type", "region", "message"),
    [
        (None, "brain", "needs the type of the pair: set type to one of inter, intra"),
        ("inter", None, "set region to one of chest, abdomen, head"),
    ],
)
def test_a_missing_condition_is_refused_with_the_allowed_values(type, region, message):
    with pytest.raises(UserError, match=message):
        require_conditions(type, region)
