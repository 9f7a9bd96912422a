"""Chains of transforms, compared with composites of SimpleITK."""

import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, max_distance, smooth_transform
from support.transform_cases import itk_points, itk_transform, some_affine

from zoo.geometry import Link, Transform, compose, map_along, map_back_along

ONE, TWO = (GRIDS[name] for name in ("oblique anisotropic LAS", "permuted PIR"))


def turned(degrees):
    """Return a rotation about z, RAS mm, with a small shift."""
    matrix = some_affine()
    angle = torch.tensor(degrees * torch.pi / 180, dtype=torch.float64)
    c, s = torch.cos(angle), torch.sin(angle)
    matrix[:3, :3] = torch.stack(
        [torch.stack([c, -s, c * 0]), torch.stack([s, c, c * 0]), torch.tensor([0, 0, 1.0])]
    )
    return Transform(matrix)


CHAINS = {
    "affine, affine": ([turned(10), Transform(some_affine())], [False, True]),
    "field, affine": ([smooth_transform(ONE), turned(10)], [False, False]),
    "affine, field": ([turned(-8), smooth_transform(TWO)], [False, False]),
    "field, field, affine": (
        [smooth_transform(ONE), smooth_transform(TWO), turned(5)],
        [False] * 3,
    ),
    "affine, inverse of an affine, field": (
        [turned(5), Transform(some_affine()), smooth_transform(TWO)],
        [False, True, False],
    ),
}


def by_simpleitk(transforms, inverted):
    """SimpleITK applies the last transform that is added first."""
    composite = sitk.CompositeTransform(3)
    for transform, inverse in reversed(list(zip(transforms, inverted, strict=True))):
        itk = itk_transform(transform)
        composite.AddTransform(itk.GetInverse() if inverse else itk)
    return composite


@pytest.mark.parametrize("name", CHAINS)
def test_the_first_transform_of_a_chain_is_applied_first(name):
    transforms, inverted = CHAINS[name]
    chain = [Link(t, i) for t, i in zip(transforms, inverted, strict=True)]
    composite = by_simpleitk(transforms, inverted)
    index = torch.rand(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = ONE.to_world((2 + index * (torch.tensor(ONE.shape) - 5)).double())
    expected = itk_points(composite, points)
    assert max_distance(map_along(chain, points)[0], expected) < 1e-4
    voxels = ONE.to_world(((index * (torch.tensor(ONE.shape) - 5)).round() + 2).double())
    composed = compose(chain, ONE).transform
    assert max_distance(composed.map_points(voxels), itk_points(composite, voxels)) < 1e-3


def test_the_inverse_of_a_field_undoes_it_within_a_chain():
    smooth = smooth_transform(ONE)
    chain = [Link(smooth), Link(turned(5)), Link(turned(5), True), Link(smooth, True)]
    index = torch.rand(100, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = ONE.to_world(4 + index * (torch.tensor(ONE.shape) - 9))
    mapped, error = map_along(chain, points)
    assert error < 1e-4
    assert max_distance(mapped, points) < 1e-3
    total = compose(chain, ONE)
    assert max_distance(total.transform.map_points(points), points) < 1e-2
    back, _ = map_back_along(chain[:2], map_along(chain[:2], points)[0])
    assert max_distance(back, points) < 1e-3


def test_without_a_grid_a_chain_has_the_grid_of_its_first_field():
    assert compose([Link(smooth_transform(ONE)), Link(turned(5))]).transform.grid.same_as(ONE)
    assert compose([Link(turned(5)), Link(turned(5), True)]).transform.grid is None
    with pytest.raises(ValueError, match="needs a grid"):
        compose([Link(turned(5)), Link(smooth_transform(ONE), True)])
