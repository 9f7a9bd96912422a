"""Markers before the names of transforms, and chains of named transforms."""

import numpy as np
import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform, map_along
from zoo.io.transforms import NamedTransform, parse_name, read_chain, write_transform


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.h5", NamedTransform("a.h5")),
        ("inverse:a.h5", NamedTransform("a.h5", True)),
        ("inverse:inverse:a.h5", NamedTransform("a.h5")),
        ("fsl:a.mat", NamedTransform("a.mat", False, "fsl")),
        ("inverse:world:a.mat", NamedTransform("a.mat", True, "world")),
        ("fsl:inverse:a.mat", NamedTransform("a.mat", True, "fsl")),
        ("C:\\a.h5", NamedTransform("C:\\a.h5")),
        ("world:a.mat", NamedTransform("a.mat", False, "world")),
        ("inverse:inverse:inverse:a.h5", NamedTransform("a.h5", True)),
        ("world:C:\\a.mat", NamedTransform("C:\\a.mat", False, "world")),
        ("inverse", NamedTransform("inverse")),
        ("out/fsl:a.mat", NamedTransform("out/fsl:a.mat")),
        ("itk:a.mat", NamedTransform("itk:a.mat")),
    ],
)
def test_markers_are_read(name, expected):
    assert parse_name(name) == expected
    assert len({parse_name(name), expected}) == 1


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("inverse:", "inverse: has no file after its marker; write inverse:FILE"),
        ("inverse:fsl:", "inverse:fsl: has no file after its marker"),
        ("", " has no file"),
        ("fsl:world:a.mat", "fsl:world:a.mat names two formats"),
        ("world:inverse:fsl:a.mat", "names two formats"),
        ("fsl:fsl:a.mat", "names two formats"),
    ],
)
def test_markers_without_a_file_and_two_formats_are_refused(name, pattern):
    with pytest.raises(UserError, match=pattern):
        parse_name(name)


def test_a_chain_is_applied_in_its_order(tmp_path):
    scale = torch.diag(torch.tensor([2.0, 3, 4, 1], dtype=torch.float64))
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([10.0, -20, 30])
    write_transform(tmp_path / "scale.tfm", Transform(scale), None)
    write_transform(tmp_path / "shift.mat", Transform(shift), None, "world")
    first, second = f"inverse:{tmp_path / 'scale.tfm'}", f"world:{tmp_path / 'shift.mat'}"
    points = torch.tensor([[2.0, 6, 12]])
    for names, expected in (
        ([first], [1, 2, 3]),
        ([second], [12, -14, 42]),
        ([first, second], [11, -18, 33]),
        ([second, first], [6, -14 / 3, 10.5]),
        ([], [2, 6, 12]),
    ):
        mapped = map_along(read_chain(names), points)[0]
        assert max_distance(mapped, torch.tensor([expected]).double()) < 1e-6


def test_a_chain_of_several_does_not_guess_the_images_of_a_learn2reg_field(tmp_path):
    grid = GRIDS["RAS"]
    write_transform(tmp_path / "a.npz", smooth_transform(grid), grid, moving=grid)
    write_transform(tmp_path / "b.tfm", Transform(AFFINE), None)
    one, two = str(tmp_path / "a.npz"), str(tmp_path / "b.tfm")
    for names in ([one, two], [two, one]):
        with pytest.raises(UserError, match=r"a\.npz can only be read with its own two images"):
            read_chain(names, grid, grid)
    points = inner_points(grid, count=20)
    expected = smooth_transform(grid).map_points(points)
    assert max_distance(map_along(read_chain([one], grid, grid), points)[0], expected) < 1e-3


def test_a_chain_of_several_does_not_guess_the_images_of_an_fsl_matrix(tmp_path):
    np.savetxt(tmp_path / "flirt.mat", np.eye(4))
    write_transform(tmp_path / "a.tfm", Transform(AFFINE), None)
    names = [str(tmp_path / "a.tfm"), f"inverse:fsl:{tmp_path / 'flirt.mat'}"]
    grid = GRIDS["RAS"]
    with pytest.raises(UserError, match=r"regzoo convert fsl:\S*flirt.mat OUT.tfm"):
        read_chain(names, grid, grid)


def test_the_inverse_of_an_fsl_matrix_swaps_its_images(tmp_path):
    fixed, moving = GRIDS["oblique anisotropic LAS"], GRIDS["permuted PIR"]
    write_transform(tmp_path / "flirt.mat", Transform(AFFINE), fixed, "fsl", moving=moving)
    chain = read_chain([f"inverse:fsl:{tmp_path / 'flirt.mat'}"], moving, fixed)
    points = inner_points(moving, count=20)
    expected = Transform(torch.linalg.inv(AFFINE)).map_points(points)
    assert max_distance(map_along(chain, points)[0], expected) < 1e-6
