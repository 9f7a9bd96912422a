"""GradICON networks take images in ITK's axis order, on the shape that they were trained on."""

import pytest
import torch
from support.inferer_cases import ShiftAlong, ramp, ramp_pair, small_phantom
from torch import nn

from zoo.registration.gradicon import GradICONInferer
from zoo.registration.working_grid import ResizedFrame

SHAPE = (22, 18, 20)


def test_the_first_axis_of_the_network_is_the_last_of_the_array():
    phantom = small_phantom()
    inferer = GradICONInferer(ResizedFrame(SHAPE), affine="none", bar=False, inverse=True)
    result = inferer(ramp_pair(phantom), ShiftAlong(0))
    step = 2 * phantom.fixed_grid.resize(SHAPE).linear[:, 2]
    centre = phantom.fixed_grid.centre[None]
    assert torch.allclose(result.transform.map_points(centre) - centre, step)
    # The stand-in predicts the same shift in the reverse pass.
    assert torch.allclose(result.inverse.map_points(centre) - centre, step)


class FixedShape(nn.Module):
    """A network with a shape of its own that shifts by a tenth of the field of view."""

    def __init__(self, axis, size=(8, 10, 9)):
        super().__init__()
        self.axis, self.size, self.images = axis, size, []

    def forward(self, image, shape):
        self.images.append(image)
        field = torch.zeros(len(image), 3, *shape)
        field[:, self.axis] = 0.1 * shape[self.axis]
        return field


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("axes", ["LPS", "SAR", "PIR"])
def test_a_network_with_a_shape_of_its_own_takes_the_voxels_of_the_files(axes, axis):
    phantom = small_phantom(axes)
    network = FixedShape(axis)
    inferer = GradICONInferer(ResizedFrame(SHAPE), affine="none", bar=False, inverse=True)
    result = inferer(ramp_pair(phantom), network)
    step = 0.1 * SHAPE[2 - axis] * phantom.fixed_grid.resize(SHAPE).linear[:, 2 - axis]
    centre = phantom.fixed_grid.centre[None]
    assert torch.allclose(result.transform.map_points(centre) - centre, step)

    forward, reverse = network.images
    assert torch.equal(reverse, forward.flip(1))
    assert forward.shape == (1, 2, *network.size)
    expected = ramp(phantom.fixed_grid.resize(network.size[::-1])).permute(2, 1, 0)
    inner = (slice(2, -2),) * 3
    torch.testing.assert_close(forward[0, 1].double()[inner], expected[inner], atol=1.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (9, 10, 8)),
        ({"refine": 5}, (9, 10, 8)),
        ({"refine": 5, "refine_mode": "weights"}, None),
        ({"masking": "both"}, None),
    ],
)
def test_refinement_over_weights_and_masked_input_use_the_working_grid(options, shape):
    assert GradICONInferer(ResizedFrame(SHAPE), **options).network_shape(FixedShape(0)) == shape


def test_a_network_without_a_shape_of_its_own_uses_the_working_grid():
    assert GradICONInferer(ResizedFrame(SHAPE)).network_shape(ShiftAlong(0)) is None
