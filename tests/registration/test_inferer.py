"""The inferer converts a known displacement of a stand-in network to a transform of the world."""

import pytest
import torch
from support.inferer_cases import ShiftAlong, images_of, ramp_pair, small_phantom

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.transforms import write_transform
from zoo.io.volume import Volume
from zoo.registration.inferer import PairInferer
from zoo.registration.working_grid import IsotropicFrame, NativeFrame, ResizedFrame
from zoo.synthesis.phantom import make_pair


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("frame", [IsotropicFrame(), NativeFrame(), ResizedFrame((22, 18, 20))])
def test_a_shift_by_voxels_becomes_that_shift_in_the_world(axis, frame):
    phantom = small_phantom()
    pair = ramp_pair(phantom)
    result = PairInferer(frame, affine="none", bar=False)(pair, ShiftAlong(axis))
    work = frame(*images_of(phantom), pair, None)
    expected = 2 * work.grid.linear[:, axis]
    points = phantom.fixed_grid.centre + torch.randn(20, 3, dtype=torch.float64)
    assert torch.allclose(result.transform.map_points(points) - points, expected.expand(20, 3))


def test_the_initial_alignment_is_applied_after_the_displacement():
    phantom = make_pair(2, shape=(36, 40, 32), spacing=(2, 2, 2))
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([25.0, -14.0, 8.0])
    pair = Pair(
        "p",
        Volume(phantom.moving, phantom.moving_grid, "a"),
        (Volume(phantom.moving, phantom.moving_grid.moved(shift), "b"),),
    )
    result = PairInferer(IsotropicFrame(), affine="rigid", bar=False)(pair, ShiftAlong(0, 0.0))
    points = phantom.moving_points
    errors = result.transform.map_points(points) - points - shift[:3, 3]
    assert errors.norm(dim=1).max() < 1
    assert result.notes["affine_start"]["kind"] != "none"


def test_a_suspected_header_fault_is_part_of_the_notes():
    phantom = make_pair(0, shape=(48, 52, 44), axes="LPS", spacing=(2.2, 2, 2.4))
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    pair = Pair(
        "p",
        Volume(phantom.fixed, phantom.fixed_grid, "a"),
        (Volume(phantom.moving, phantom.moving_grid.moved(turn), "b"),),
    )
    notes = PairInferer(IsotropicFrame(4.0), bar=False)(pair, ShiftAlong(0, 0.0)).notes
    assert "rotated by 90 degrees about the z axis" in notes["header_fault"]
    assert notes["affine_start"]["reason"].startswith(notes["header_fault"])


@pytest.mark.parametrize("name", ["own.mat", "own.tfm", "own.h5"])
@pytest.mark.parametrize("axes", ["RAS", "LPI", "PIR"])
def test_a_given_affine_transform_is_read_from_its_file_and_used(tmp_path, name, axes):
    phantom = make_pair(2, shape=(36, 40, 32), axes=axes, spacing=(2, 2.5, 2))
    own = torch.eye(4, dtype=torch.float64)
    own[:3, :3] += 0.1 * torch.tensor([[0.0, 2, 0], [-2, 0, 0], [1, 0, 6]])
    own[:3, 3] = torch.tensor([25.0, -14.0, 8.0])
    write_transform(tmp_path / name, Transform(own), None)
    inferer = PairInferer(IsotropicFrame(), affine=str(tmp_path / name), bar=False)
    result = inferer(ramp_pair(phantom), ShiftAlong(0, 0.0))
    points = phantom.fixed_points
    expected = points @ own[:3, :3].T + own[:3, 3]
    assert (result.transform.map_points(points) - expected).norm(dim=1).max() < 1e-3
    alignment = result.notes["affine_start"]
    assert alignment["kind"] == "given"
    assert name in alignment["reason"]


@pytest.mark.parametrize(
    ("affine", "message"),
    [("rigd", "is not a file and not one of auto"), ("field.nii.gz", "holds a deformation")],
)
def test_anything_but_a_kind_or_an_affine_transform_is_refused(
    tmp_path, monkeypatch, affine, message
):
    monkeypatch.chdir(tmp_path)
    grid = small_phantom().fixed_grid
    field = Transform(torch.eye(4), torch.ones(3, *grid.shape), grid)
    write_transform("field.nii.gz", field, grid)
    with pytest.raises(UserError, match=message):
        PairInferer(NativeFrame(), affine=affine)


def test_without_an_initial_alignment_the_result_names_the_setting():
    inferer = PairInferer(NativeFrame(), affine="none", bar=False)
    notes = inferer(ramp_pair(small_phantom()), ShiftAlong(0)).notes
    assert notes["affine_start"] == {"kind": "none", "reason": "the setting affine is none"}


def test_the_inverse_is_computed_where_the_network_has_none():
    phantom = small_phantom()
    inferer = PairInferer(NativeFrame(), affine="none", bar=False, inverse=True)
    result = inferer(ramp_pair(phantom), ShiftAlong(1))
    points = phantom.fixed_grid.centre + torch.randn(10, 3, dtype=torch.float64)
    mapped = result.transform.map_points(points)
    assert (result.inverse.map_points(mapped) - points).norm(dim=1).max() < 0.05
    assert set(result.seconds) == {"initial alignment", "preparation", "deformation", "inverse"}


def test_fixed_and_moving_images_have_their_own_intensities():
    network = ShiftAlong(0)
    inferer = PairInferer(
        NativeFrame(), affine="none", bar=False,
        intensity=torch.zeros_like, moving_intensity=torch.ones_like,
    )  # fmt: skip
    inferer(ramp_pair(small_phantom()), network)
    moving, fixed = network.images[0][0]
    assert fixed.unique().tolist() == [0]
    assert moving.unique().tolist() == [1]


def test_a_constant_image_is_refused_with_its_file_name():
    phantom = small_phantom()
    empty = Volume(torch.zeros(phantom.fixed_grid.shape), phantom.fixed_grid, "empty.nii.gz")
    pair = Pair("p", empty, (Volume(phantom.moving, phantom.moving_grid, "b"),))
    with pytest.raises(UserError, match=r"empty\.nii\.gz is constant"):
        PairInferer(NativeFrame(), affine="none", bar=False)(pair, ShiftAlong(0))
