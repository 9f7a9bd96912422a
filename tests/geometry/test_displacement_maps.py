import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from zoo.geometry import (
    Composition,
    DisplacementMap,
    Grid,
    displacement_in_voxels,
    resize_displacement,
)
from zoo.geometry.displacement_maps import last_index, sample_unit_cube, unit_grid


def scipy_sample(image, points):
    """Interpolate `image` [C, X, Y, Z] at points [3, n] of the unit cube."""
    last = np.array(image.shape[1:])[:, None] - 1
    return np.stack([map_coordinates(c, points * last, order=1, mode="nearest") for c in image])


def random_points(count=50):
    """Return points [3, n] in the unit cube and slightly outside."""
    return np.random.default_rng(0).uniform(-0.1, 1.1, (3, count))


def as_grid(points):
    return torch.from_numpy(points).float()[None, :, :, None, None]


@pytest.mark.parametrize("grad", [False, True])
def test_displacement_map_agrees_with_scipy(grad):
    displacement = torch.randn(1, 3, 5, 9, 7) * 0.1
    points = random_points()
    expected = points + scipy_sample(displacement[0].numpy(), points)
    with torch.set_grad_enabled(grad):
        mapped = DisplacementMap(displacement)(as_grid(points))
    np.testing.assert_allclose(mapped[0, :, :, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 9, 7), (11, 6, 13)])
def test_on_grid_agrees_with_mapping_the_voxel_centres(shape):
    displacement = torch.randn(2, 3, 5, 9, 7) * 0.1
    phi = DisplacementMap(displacement)
    centres = unit_grid(shape, displacement).expand(2, 3, *shape)
    torch.testing.assert_close(phi.on_grid(shape), phi(centres), atol=1e-5, rtol=0)


@pytest.mark.parametrize("grad", [False, True])
def test_composition_applies_the_inner_map_first(grad):
    shift = DisplacementMap(torch.tensor([0.2, 0, 0]).view(1, 3, 1, 1, 1).expand(1, 3, 20, 3, 3))
    ramp = torch.linspace(0, 1, 20).view(20, 1, 1).expand(20, 3, 3)
    stretch = DisplacementMap(torch.stack([ramp, 0 * ramp, 0 * ramp])[None])
    point = torch.tensor([0.3, 0.5, 0.5]).view(1, 3, 1, 1, 1)
    with torch.set_grad_enabled(grad):
        assert Composition(stretch, shift)(point)[0, 0].item() == pytest.approx(1.0)
        assert Composition(shift, stretch)(point)[0, 0].item() == pytest.approx(0.8)
        phi = Composition(stretch, shift)
        centres = unit_grid((20, 3, 3), ramp)
        torch.testing.assert_close(phi.on_grid((20, 3, 3)), phi(centres))


def test_sample_unit_cube_agrees_with_scipy():
    image = torch.randn(1, 2, 6, 5, 8)
    points = random_points()
    sampled = sample_unit_cube(image, as_grid(points))
    expected = scipy_sample(image[0].numpy(), points)
    np.testing.assert_allclose(sampled[0, :, :, 0, 0], expected, atol=1e-5)


def test_displacement_in_voxels_is_the_distance_from_the_voxel_centres():
    voxels = torch.randn(1, 3, 4, 6, 5)
    last = torch.tensor([3.0, 5, 4]).view(1, 3, 1, 1, 1)
    phi = DisplacementMap(voxels / last)
    torch.testing.assert_close(displacement_in_voxels(phi.on_grid((4, 6, 5))), voxels)


def test_unit_grid_reaches_from_zero_to_one():
    points = unit_grid((3, 5, 2), torch.zeros(()))
    assert points[0, :, 1, 3, 1].tolist() == [0.5, 0.75, 1]
    assert (points.amin().item(), points.amax().item()) == (0, 1)
    assert last_index((3, 5, 2), torch.zeros(())).flatten().tolist() == [2, 4, 1]


def test_resized_displacement_moves_points_of_the_world_equally():
    """A linear displacement, in mm, is the same on both grids, which share the field of view."""
    grid = Grid.from_spacing((12, 10, 8), (1.0, 2.0, 1.5))
    finer = grid.resize((24, 15, 8))
    matrix = torch.tensor([[0.1, -0.2, 0.05], [0.0, 0.1, 0.2], [-0.1, 0.05, 0.1]])

    def in_voxels(grid):
        voxels = torch.cartesian_prod(*[torch.arange(float(n)) for n in grid.shape])
        step = (grid.to_world(voxels).float() @ matrix.T) / torch.tensor(grid.spacing)
        return step.T.reshape(1, 3, *grid.shape)

    resized = resize_displacement(in_voxels(grid), finer.shape)
    inner = (..., slice(2, -2), slice(2, -2), slice(2, -2))  # torch repeats the border values
    torch.testing.assert_close(resized[inner], in_voxels(finer)[inner], atol=1e-5, rtol=0)
    assert resize_displacement(resized, finer.shape) is resized


def test_gradients_reach_the_displacement_and_the_points():
    displacement = torch.randn(1, 3, 4, 4, 4, dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda u, x: DisplacementMap(u)(x), (displacement, points))
