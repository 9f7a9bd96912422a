import pytest
import torch

from zoo.errors import UserError
from zoo.geometry import jacobian_determinant, warp
from zoo.synthesis import SmoothMap, make_pair, placed_grid
from zoo.synthesis.phantom_anatomy import CONTRASTS


def test_equal_arguments_give_equal_voxels_and_other_seeds_other_voxels():
    one, two, other = (make_pair(seed, shape=(20, 22, 18)) for seed in (1, 1, 2))
    assert torch.equal(one.fixed, two.fixed)
    assert torch.equal(one.moving, two.moving)
    assert not torch.equal(one.fixed, other.fixed)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR"])
def test_the_truth_warps_moving_labels_onto_fixed_labels(axes):
    pair = make_pair(
        3, shape=(60, 64, 56), spacing=(1.5, 1.4, 1.6), axes=axes, tilt_degrees=12,
        moving_axes="LAS", moving_shape=(70, 66, 62), moving_spacing=(1.2, 1.4, 1.5),
    )  # fmt: skip
    moved = warp(
        pair.moving_labels[None], pair.moving_grid, pair.fixed_grid, pair.truth,
        interpolation="nearest",
    )[0]  # fmt: skip
    assert (moved == pair.fixed_labels).float().mean() > 0.98


def test_the_truth_maps_fixed_points_to_moving_points():
    pair = make_pair(4, shape=(40, 40, 40))
    errors = pair.truth.map_points(pair.fixed_points) - pair.moving_points
    assert errors.norm(dim=1).max() < 0.1
    assert (pair.fixed_points - pair.moving_points).norm(dim=1).mean() > 1


def test_the_truth_is_invertible_and_not_trivial():
    for seed in range(4):
        determinant = jacobian_determinant(make_pair(seed, shape=(30, 30, 30)).truth)
        assert determinant.min() > 0
        assert determinant.max() > 1.1


def test_the_inverse_of_a_smooth_map_undoes_it():
    smooth = SmoothMap.draw(1, 20, 40, 0.7)
    points = 40 * torch.randn(200, 3, dtype=torch.float64)
    assert (smooth.inverse(smooth(points)) - points).abs().max() < 1e-6


def test_the_jacobian_of_a_smooth_map_is_that_of_autograd():
    smooth = SmoothMap.draw(2, 10, 40, 0.7)
    point = torch.randn(1, 3, dtype=torch.float64) * 20
    numeric = torch.autograd.functional.jacobian(lambda p: smooth(p[None])[0], point[0])
    assert torch.linalg.det(numeric) == pytest.approx(float(smooth.jacobian_determinant(point)))


def test_contrasts_share_the_anatomy_but_not_the_intensities():
    one = make_pair(5, shape=(30, 30, 30), contrasts=("t1", "t1"), noise=False)
    two = make_pair(5, shape=(30, 30, 30), contrasts=("t2", "ct"), noise=False)
    assert torch.equal(one.fixed_labels, two.fixed_labels)
    assert not torch.allclose(one.fixed, two.fixed)
    assert two.moving.min() < -900


def test_one_seed_is_the_same_anatomy_at_every_resolution():
    fine = make_pair(6, shape=(60, 60, 60), spacing=(1, 1, 1), noise=False)
    coarse = make_pair(6, shape=(20, 20, 20), spacing=(3, 3, 3), noise=False)
    assert torch.equal(fine.fixed_labels[1::3, 1::3, 1::3], coarse.fixed_labels)


def test_an_unknown_contrast_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=", ".join(CONTRASTS)):
        make_pair(contrasts=("t1", "flair"))


@pytest.mark.parametrize("axes", ["RAX", "RAL", "RRS"])
def test_axes_must_name_each_direction_once(axes):
    with pytest.raises(UserError, match="each of R/L, A/P, S/I once"):
        placed_grid((5, 5, 5), (1, 1, 1), axes)
