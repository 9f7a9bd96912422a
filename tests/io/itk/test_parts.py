"""The parametrisations of ITK, compared with SimpleITK in its three file formats."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.itk.parts import Part, affine_part, combine_parts, field_part
from zoo.io.transforms import read_transform

FLIP = np.array([-1.0, -1.0, 1.0])
CENTRE = (5.0, -7.0, 11.0)
SHIFT = (2.0, 3.0, -4.0)
VERSOR = (0.1, -0.2, 0.3)


def affine():
    matrix = [1.1, 0.2, 0.0, -0.1, 0.9, 0.1, 0.05, -0.02, 1.2]
    return sitk.AffineTransform(matrix, SHIFT, CENTRE)


def euler(zyx=False):
    transform = sitk.Euler3DTransform(CENTRE, 0.3, -0.4, 0.5, SHIFT)
    transform.SetComputeZYX(zyx)
    return transform


def versor():
    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter(CENTRE)
    transform.SetParameters((*VERSOR, *SHIFT))
    return transform


def half_turn():
    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter(CENTRE)
    transform.SetRotation((0.0, 0.6, 0.8), np.pi)
    assert np.linalg.norm(transform.GetParameters()[:3]) == 1
    return transform


def similarity():
    transform = sitk.Similarity3DTransform()
    transform.SetCenter(CENTRE)
    transform.SetParameters((*VERSOR, *SHIFT, 1.3))
    return transform


def field(grid):
    image = sitk.GetImageFromArray(
        (smooth_transform(grid).field.numpy() * FLIP[:, None, None, None]).transpose(3, 2, 1, 0),
        isVector=True,
    )
    matrix = grid.affine.numpy()
    image.SetSpacing(grid.spacing)
    image.SetOrigin((matrix[:3, 3] * FLIP).tolist())
    image.SetDirection((FLIP[:, None] * matrix[:3, :3] / grid.spacing).ravel().tolist())
    return sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))


def composite(*parts):
    transform = sitk.CompositeTransform(3)
    for part in parts:
        transform.AddTransform(part)
    return transform


def assert_same(itk, path, points):
    ours = read_transform(path).map_points(points)
    theirs = np.array([itk.TransformPoint(p) for p in points.numpy() * FLIP]) * FLIP
    assert max_distance(ours, points) > 0.1
    assert max_distance(ours, theirs) < 1e-3


SINGLE = {
    "affine": affine,
    "euler": euler,
    "euler zyx": lambda: euler(True),
    "versor": versor,
    "half a turn": half_turn,
    "similarity": similarity,
    "translation": lambda: sitk.TranslationTransform(3, SHIFT),
    "composite of affines": lambda: composite(affine(), euler(), versor()),
}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        (name, suffix)
        for name in SINGLE
        for suffix in (".tfm", ".h5", ".mat")
        if (name, suffix) != ("composite of affines", ".mat")  # ITK does not write it
    ],
)
def test_affine_classes_are_read_like_simpleitk(tmp_path, name, suffix):
    itk = SINGLE[name]()
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(itk, str(path))
    assert_same(itk, path, inner_points(GRIDS["RAS"]))


GRID = GRIDS["oblique anisotropic LAS"]
WITH_FIELD = {
    "field alone": lambda: field(GRID),
    "affine, field": lambda: composite(affine(), field(GRID)),
    "field, affine": lambda: composite(field(GRID), euler()),
    "affine, field, affine": lambda: composite(versor(), field(GRID), affine(), euler()),
}


@pytest.mark.parametrize("name", WITH_FIELD)
@pytest.mark.parametrize("suffix", [".h5", ".tfm"])
def test_composites_with_a_field_at_any_position_are_exact(tmp_path, name, suffix):
    itk = WITH_FIELD[name]()
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(itk, str(path))
    assert_same(itk, path, inner_points(GRID, margin=-6))


def test_bspline_is_refused_with_the_allowed_classes(tmp_path):
    path = tmp_path / "t.tfm"
    sitk.WriteTransform(sitk.BSplineTransform(3), str(path))
    with pytest.raises(UserError, match=r"BSplineTransform; allowed are AffineTransform"):
        read_transform(path)


def test_two_fields_are_refused(tmp_path):
    path = tmp_path / "t.h5"
    sitk.WriteTransform(composite(field(GRID), field(GRID)), str(path))
    with pytest.raises(UserError, match="2 of them displacement fields"):
        read_transform(path)


def test_two_dimensional_transforms_are_refused(tmp_path):
    path = tmp_path / "t.tfm"
    sitk.WriteTransform(sitk.AffineTransform(2), str(path))
    with pytest.raises(UserError, match=r"AffineTransform_double_2_2.*three-dimensional"):
        read_transform(path)


def test_centred_affine_uses_the_centre_in_its_parameters(tmp_path):
    values = np.array([*affine().GetMatrix(), *CENTRE, *SHIFT])
    ours = combine_parts(tmp_path, [Part("CenteredAffineTransform", values, np.zeros(3))])
    expected = np.array(affine().TransformPoint((1.0, 2.0, 3.0))) * FLIP
    assert max_distance(ours.map_points(torch.tensor([[-1.0, -2.0, 3.0]])), expected[None]) < 1e-9


def test_parts_of_a_transform_combine_to_it_again(tmp_path):
    transform = smooth_transform(GRID)
    parts = [affine_part(transform.affine), field_part(transform.field, GRID)]
    again = combine_parts(tmp_path, parts)
    torch.testing.assert_close(again.affine, transform.affine)
    torch.testing.assert_close(again.field, transform.field)
    assert again.grid.same_as(GRID, 1e-9)


def test_singular_affine_is_refused(tmp_path):
    flat = affine_part(Transform(torch.diag(torch.tensor([1.0, 1, 0, 1]))).affine)
    with pytest.raises(UserError, match="cannot be inverted"):
        combine_parts(tmp_path, [flat])
