"""Markers before the names of transforms, and chains of named transforms."""

import numpy as np
import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance

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
    ],
)
def test_markers_are_read(name, expected):
    assert parse_name(name) == expected


@pytest.mark.parametrize("name", ["inverse:", "fsl:world:a.mat"])
def test_markers_without_a_file_and_two_formats_are_refused(name):
    with pytest.raises(UserError, match=r"after its marker|two formats"):
        parse_name(name)


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
