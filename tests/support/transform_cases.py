"""Example transforms, and the same transforms built with SimpleITK."""

import numpy as np
import SimpleITK as sitk
import torch

from support.grid_cases import simple_itk_image
from zoo.geometry import Transform

LPS = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)


def some_affine():
    affine = torch.eye(4, dtype=torch.float64)
    affine[:3, :3] += torch.tensor([[0.1, -0.2, 0.05], [0.15, -0.1, 0.1], [0, 0.2, 0.15]])
    affine[:3, 3] = torch.tensor([3.0, -5.0, 2.0])
    return affine


def some_transform(grid, seed=0, affine=True):
    field = 3 * torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(seed))
    return Transform(some_affine() if affine else torch.eye(4), field, grid)


def itk_transform(transform):
    """Build the same transform with SimpleITK, which applies the last added part first."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = flip @ transform.affine.numpy() @ flip
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix[:3, :3].flatten().tolist())
    affine.SetTranslation(matrix[:3, 3].tolist())
    composite = sitk.CompositeTransform(3)
    composite.AddTransform(affine)
    if transform.field is not None:
        field = simple_itk_image(transform.field, transform.grid)
        composite.AddTransform(sitk.DisplacementFieldTransform(field))
    return composite


def itk_points(transform, points):
    mapped = [transform.TransformPoint(p) for p in (points * LPS).tolist()]
    return torch.tensor(mapped, dtype=torch.float64) * LPS


def points_about(grid, count=500, reach=1.2):
    """Return random points (n, 3), RAS+ mm, inside and slightly outside a grid."""
    index = (torch.rand(count, 3, dtype=torch.float64) - 0.5) * reach + 0.5
    return grid.to_world(index * torch.tensor(grid.shape))
