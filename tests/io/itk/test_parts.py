"""The parametrisations of ITK, compared with SimpleITK in its three file formats."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.grid_cases import simple_itk_image
from support.io_cases import GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.itk.parts import (
    COMPOSITE,
    FIELD,
    Part,
    affine_part,
    combine_parts,
    field_part,
    parse_class_name,
    without_composite,
)
from zoo.io.transforms import read_transform

FLIP = np.array([-1.0, -1.0, 1.0])
CENTRE = (5.0, -7.0, 11.0)
SHIFT = (2.0, 3.0, -4.0)
VERSOR = (0.1, -0.2, 0.3)
PATH = Path("folder/t.tfm")


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


def part(kind, values, fixed=(0, 0, 0)):
    return Part(kind, np.array(values, float), np.array(fixed, float))


def scaling(*factors):
    return part("AffineTransform", [*np.diag(factors).ravel(), 0, 0, 0])


def test_written_parts_are_those_of_simpleitk():
    transform = smooth_transform(GRID)
    ours, theirs = affine_part(transform.affine), sitk.AffineTransform(3)
    theirs.SetFixedParameters(ours.fixed.tolist())
    theirs.SetParameters(ours.parameters.tolist())
    point = np.array(theirs.TransformPoint((1.0, 2.0, 3.0))) * FLIP
    expected = Transform(transform.affine).map_points(torch.tensor([[-1.0, -2.0, 3.0]]))
    assert max_distance(expected, point[None]) < 1e-9
    assert ours.fixed.tolist() == [0, 0, 0]
    ours = field_part(transform.field, GRID)
    theirs = sitk.DisplacementFieldTransform(simple_itk_image(transform.field, GRID))
    assert (ours.class_name, ours.parameters.dtype) == (FIELD, np.float32)
    assert np.allclose(ours.parameters, theirs.GetParameters(), atol=1e-6)
    assert np.allclose(ours.fixed, theirs.GetFixedParameters(), atol=1e-9)


@pytest.mark.parametrize("name", ["Affine_double_3_3", " Affine_float_3_3\n"])
def test_the_class_of_a_transform_is_the_first_word_of_its_name(name):
    assert parse_class_name(PATH, name) == "Affine"


@pytest.mark.parametrize("name", ["Affine", "Affine_double_2_2", "Affine_double_3_2", "_", ""])
def test_names_of_other_dimensions_are_refused(name):
    with pytest.raises(UserError, match=f"contains the transform '{name}'; only three"):
        parse_class_name(PATH, name)


def test_long_names_are_shortened_in_errors():
    with pytest.raises(UserError, match=f"the transform '{'x' * 80}'; only"):
        parse_class_name(PATH, "x" * 200)
    with pytest.raises(UserError, match=f"contains a {'x' * 80}; allowed are AffineTransform"):
        combine_parts(PATH, [part("x" * 200, [])])


def test_only_the_leading_composite_is_left_out():
    first, second, composite = scaling(1, 2, 3), scaling(3, 2, 1), part(COMPOSITE, [])
    assert without_composite(PATH, []) == []
    assert without_composite(PATH, [first]) == [first]
    assert without_composite(PATH, [part("Translation", [])])[0].class_name == "Translation"
    assert without_composite(PATH, [composite]) == []
    assert without_composite(PATH, [composite, first, second]) == [first, second]
    for parts in ([first, second], [first, composite]):
        with pytest.raises(UserError, match="has 2 transforms but no composite"):
            without_composite(PATH, parts)


def test_no_parts_are_refused():
    with pytest.raises(UserError, match="contains 0 transforms, 0 of them displacement fields"):
        combine_parts(PATH, [])


def test_the_identity_is_read_from_a_file_of_simpleitk(tmp_path):
    sitk.WriteTransform(sitk.Transform(3, sitk.sitkIdentity), str(tmp_path / "t.tfm"))
    assert "IdentityTransform" in (tmp_path / "t.tfm").read_text()
    assert torch.equal(read_transform(tmp_path / "t.tfm").affine, torch.eye(4).double())


def test_the_base_class_of_affine_transforms_is_one_too():
    name, itk = "MatrixOffsetTransformBase", affine()
    ours = combine_parts(PATH, [part(name, itk.GetParameters(), CENTRE)])
    expected = np.array(itk.TransformPoint((1.0, 2.0, 3.0))) * FLIP
    assert max_distance(ours.map_points(torch.tensor([[-1.0, -2.0, 3.0]])), expected[None]) < 1e-9


@pytest.mark.parametrize("order", [(), (0,), (1,), (-1,), (0.5,)])
def test_the_fourth_fixed_parameter_of_euler_angles_is_their_order(order):
    itk = sitk.Euler3DTransform()
    itk.SetFixedParameters((*CENTRE, *(order or (0,))))
    itk.SetParameters((1.3, -1.1, 0.7, *SHIFT))
    ours = combine_parts(PATH, [part("Euler3DTransform", itk.GetParameters(), (*CENTRE, *order))])
    expected = np.array(itk.TransformPoint((1.0, 2.0, 3.0))) * FLIP
    assert max_distance(ours.map_points(torch.tensor([[-1.0, -2.0, 3.0]])), expected[None]) < 1e-9


COUNTS = {
    **{"AffineTransform": 12, "MatrixOffsetTransformBase": 12, "CenteredAffineTransform": 15},
    **{"Euler3DTransform": 6, "VersorRigid3DTransform": 6, "Similarity3DTransform": 7},
    **{"TranslationTransform": 3, "IdentityTransform": 0},
}


@pytest.mark.parametrize(("name", "count"), COUNTS.items(), ids=COUNTS)
def test_other_numbers_of_parameters_are_refused(name, count):
    for given in {max(0, count - 1), count + 1} - {count}:
        pattern = f"{name} has {given} parameters but needs {count};"
        with pytest.raises(UserError, match=pattern):
            combine_parts(PATH, [part(name, [0.0] * given)])


@pytest.mark.parametrize("count", [0, 2])
def test_a_centre_has_three_coordinates(count):
    with pytest.raises(UserError, match=f"has {count} fixed parameters but needs 3"):
        combine_parts(PATH, [part("Euler3DTransform", [0] * 6, [1] * count)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_parameters_and_the_centre_are_finite(bad):
    for values, fixed in (([0] * 5 + [bad], [0] * 3), ([0] * 6, [0, 0, bad])):
        with pytest.raises(UserError, match="Euler3DTransform has NaN or Inf among its"):
            combine_parts(PATH, [part("Euler3DTransform", values, fixed)])


@pytest.mark.parametrize(
    ("name", "rest", "scale"),
    [("VersorRigid3DTransform", [0] * 3, 1), ("Similarity3DTransform", [0, 0, 0, 1.5], 1.5)],
)
def test_a_versor_is_at_most_one_long_up_to_rounding(name, rest, scale):
    for length in (1, 1 + 5e-7):
        ours = combine_parts(PATH, [part(name, [0, 0, length, *rest])]).affine
        assert np.allclose(ours, np.diag([-scale, -scale, scale, 1]), atol=1e-5)
    for vector in ([0.0, 0.0, 1 + 2e-6], [0.8, 0.6, 0.1]):
        pattern = f"the rotation {vector} of {name} is longer than 1"
        with pytest.raises(UserError, match=re.escape(pattern)):
            combine_parts(PATH, [part(name, [*vector, *rest])])


def test_affine_transforms_are_invertible_and_finite():
    assert combine_parts(PATH, [scaling(-1, 2, 3)]).affine.diag().tolist() == [-1, 2, 3, 1]
    assert combine_parts(PATH, [scaling(1.1e-4, 1.1e-4, 1.1e-4)]).affine[0, 0] == 1.1e-4
    for parts in (
        [scaling(0.9e-4, 0.9e-4, 0.9e-4)],
        [scaling(1e150, 1e150, 1e150)],
        [scaling(1e200, 1e-100, 1e-100), part("TranslationTransform", [1e200, 0, 0])],
    ):
        with pytest.raises(UserError, match="an affine that cannot be inverted"):
            combine_parts(PATH, parts)


def test_the_three_rows_of_a_singular_affine_are_shown():
    flat = part("AffineTransform", [1, 2, 3, 4, 5, 6, 0, 0, 0, 7, 8, 9])
    with pytest.raises(UserError) as refusal:
        combine_parts(PATH, [flat])
    shown = json.loads(re.search(r"\((\[\[.*\]\])\)", str(refusal.value))[1])
    assert shown == [[1, 2, -3, -7], [4, 5, -6, -8], [0, 0, 0, 9]]


def some_field(size=(5, 6, 7), spacing=(0.5, 2, 3), direction=None, origin=(1, 2, 3), values=None):
    fixed = [*size, *origin, *spacing, *np.ravel(np.eye(3) if direction is None else direction)]
    count = int(3 * np.prod(np.abs(size)))
    return part(FIELD, np.arange(count) if values is None else values, fixed)


@pytest.mark.parametrize("size", [(1, 2, 3), (2, 1, 3), (2, 3, 1), (2, 3, 4)])
def test_the_components_and_then_x_vary_fastest_in_a_field(size):
    transform = combine_parts(PATH, [some_field(size)])
    assert transform.grid.shape == size
    assert transform.grid.affine.diag().tolist() == [-0.5, -2, 3, 1]
    assert transform.grid.affine[:3, 3].tolist() == [-1, -2, 3]
    for x, y, z, k in np.ndindex(*size, 3):
        expected = FLIP[k] * (3 * (x + size[0] * (y + size[1] * z)) + k)
        assert float(transform.field[k, x, y, z]) == expected


def stretched(error):
    """Return a direction whose first axis has a length with this error of its square."""
    return np.diag([np.sqrt(1 + error), 1, -1])


def test_a_direction_with_few_digits_is_allowed():
    for error in (0.0099, -0.0099):
        assert combine_parts(PATH, [some_field(direction=stretched(error))]).field is not None


SKEW = [[1, 0.011, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"size": (5.4, 6, 7)}, r"size of the field is \[5.4, 6.0, 7.0\]; it must be three whole"),
        ({"size": (5, 5.6, 7)}, r"size of the field is \[5.0, 5.6, 7.0\]; it must be three whole"),
        ({"size": (0, 6, 7)}, "it must be three whole numbers above 0"),
        ({"size": (5, 6, -1)}, "it must be three whole numbers above 0"),
        ({"values": [0.0] * 629}, "a field of 5x6x7 voxels needs 630 numbers, not 629"),
        ({"values": [0.0] * 631}, "a field of 5x6x7 voxels needs 630 numbers, not 631"),
        ({"values": [0.0] * 629 + [np.nan]}, "the field has NaN or Inf"),
        ({"values": [1e39] + [0.0] * 629}, "the field has NaN or Inf"),
        ({"spacing": (0, 2, 3)}, r"grid of the field is invalid \(size \[5.0, 6.0, 7.0\], spacing"),
        (
            {"spacing": (1, 2, -0.5)},
            r"invalid \(.* spacing \[1.0, 2.0, -0.5\], direction \[1.0, 0.0,",
        ),
        ({"spacing": (1, 2, 1e200)}, "must be invertible"),
        ({"direction": stretched(0.0101)}, "grid of the field is invalid"),
        ({"direction": stretched(-0.0101)}, "grid of the field is invalid"),
        ({"direction": SKEW}, "grid of the field is invalid"),
        ({"direction": np.diag([1e200, 1, 1])}, "grid of the field is invalid"),
        ({"spacing": (1, 2, np.nan)}, "needs 18 finite numbers, and the file has 18 numbers"),
        ({"origin": (1, np.inf, 3)}, "needs 18 finite numbers, and the file has 18 numbers"),
        ({"origin": (1, 2)}, "needs 18 finite numbers, and the file has 17 numbers"),
        ({"origin": (1, 2, 3, 4)}, "needs 18 finite numbers, and the file has 19 numbers"),
    ],
)
def test_invalid_fields_are_refused(changes, pattern):
    with pytest.raises(UserError, match=pattern) as refusal:
        combine_parts(PATH, [some_field(**changes)])
    assert str(PATH) in str(refusal.value)
