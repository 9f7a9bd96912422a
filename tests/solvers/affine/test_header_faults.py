"""Rotated, mirrored and wrongly scaled headers of phantoms are recognised."""

import pytest
import torch

from zoo.solvers.affine import align_affine
from zoo.solvers.affine.header_faults import HeaderFault
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("few_points")

ROTATIONS = {
    "90 degrees about the z axis": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "-90 degrees about the x axis": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "180 degrees about the y axis": [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "180 degrees about the direction (1, 1, 0)": [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
    "120 degrees about the direction (1, 1, 1)": [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
}
MIRROR = [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.fixture(scope="module")
def phantom():
    return make_pair(0, shape=(48, 52, 44), axes="LPS", spacing=(2.2, 2, 2.4))


def spoil(linear):
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.as_tensor(linear, dtype=torch.float64)
    return matrix


def aligned(phantom, fault, **options):
    grid = phantom.moving_grid.moved(fault)
    return align_affine(phantom.fixed, phantom.fixed_grid, phantom.moving, grid, **options)


def landmark_error(phantom, matrix, fault):
    """Return the mean landmark error in mm of the correct world of the moving image."""
    matrix = torch.linalg.inv(fault) @ matrix
    points = phantom.fixed_points @ matrix[:3, :3].T + matrix[:3, 3]
    return float((points - phantom.moving_points).norm(dim=1).mean())


@pytest.fixture(scope="module")
def plain_error(phantom):
    identity = spoil(torch.eye(3))
    plain = aligned(phantom, identity, kind="affine")
    assert plain.header_fault == ""
    return landmark_error(phantom, plain.matrix, identity)


@pytest.mark.parametrize("text", ["90 degrees about the z axis", "180 degrees about the y axis"])
def test_a_rotated_header_is_reported_and_corrected(phantom, plain_error, text):
    fault = spoil(ROTATIONS[text])
    result = aligned(phantom, fault)
    assert f"rotated by {text}" in result.header_fault
    assert result.reason.startswith(result.header_fault)
    assert landmark_error(phantom, result.matrix, fault) < plain_error + 0.5
    assert result.similarity[1] > result.similarity[0] + 0.05


@pytest.mark.parametrize(
    ("scale", "text"), [(10, "too large by a factor of 10"), (0.1, "too small by a factor of 10")]
)
def test_other_units_are_reported_and_corrected(phantom, plain_error, scale, text):
    fault = spoil(torch.eye(3) * scale)
    result = aligned(phantom, fault)
    assert text in result.header_fault
    assert landmark_error(phantom, result.matrix, fault) < plain_error + 0.5


def test_a_mirrored_header_is_corrected_only_if_that_is_allowed(phantom, plain_error):
    fault = spoil(MIRROR)
    reported = aligned(phantom, fault)
    assert "mirrored along the x axis" in reported.header_fault
    assert "--allow-mirror" in reported.header_fault
    assert torch.linalg.det(reported.matrix) > 0
    corrected = aligned(phantom, fault, allow_mirror=True)
    assert torch.linalg.det(corrected.matrix) < 0
    assert landmark_error(phantom, corrected.matrix, fault) < plain_error + 0.5


def test_an_ordinary_pair_is_not_mirrored(phantom):
    identity = spoil(torch.eye(3))
    plain = aligned(phantom, identity)
    allowed = aligned(phantom, identity, allow_mirror=True)
    assert allowed.header_fault == ""
    assert torch.equal(allowed.matrix, plain.matrix)


@pytest.mark.parametrize("text", ROTATIONS)
def test_the_axis_and_the_angle_of_a_rotation_are_named(text):
    rotation = torch.tensor(ROTATIONS[text], dtype=torch.float64)
    assert str(HeaderFault(rotation)) == f"rotated by {text}"


def test_a_mirror_image_is_described_as_a_reflection_and_a_rotation():
    mirror = torch.tensor(MIRROR, dtype=torch.float64)
    assert str(HeaderFault(mirror, 10.0)) == (
        "mirrored along the x axis and too large by a factor of 10"
    )
    turned = torch.tensor(ROTATIONS["90 degrees about the z axis"], dtype=torch.float64) @ mirror
    assert "mirrored along the" in str(HeaderFault(turned))
