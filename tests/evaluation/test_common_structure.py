"""The agreement of registered images, compared with that of misplaced copies."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.report_cases import phantom_registration

from zoo.datasets.pairs import Pair
from zoo.evaluation.common_structure import (
    common_structure,
    constant_voxels,
    turned_and_shifted_copies,
)
from zoo.evaluation.metrics import measure
from zoo.geometry import Grid, Transform
from zoo.geometry.sampling import identity_index
from zoo.io.volume import Volume


@pytest.fixture(scope="module")
def registration():
    return phantom_registration(3, contrasts=("t1", "t2"))


def test_registered_images_agree_better_than_unrelated_ones(registration):
    structure = common_structure(registration.pair, registration.transform)
    assert structure.ratio > 3
    assert structure.misplaced_nmi < structure.nmi
    assert structure.empty_percent == 0


def test_the_agreement_equals_the_figures_if_the_lattices_are_equal(registration):
    """The phantom has fewer voxels than either lattice, so that both compare the same voxels."""
    structure = common_structure(registration.pair, registration.transform)
    figures = measure(registration.pair, registration.transform).figures
    assert structure.nmi == pytest.approx(figures["nmi_after"], abs=1e-6)
    assert structure.similarity == pytest.approx(figures["similarity_after"], abs=0.05)


def test_a_body_whose_halves_differ_is_not_symmetric_and_one_of_equal_halves_is(registration):
    fixed = registration.pair.fixed
    halves = replace(fixed, data=fixed.data + fixed.data.flip(0))
    pair = replace(registration.pair, fixed=halves, moving=(halves,))
    symmetric = common_structure(pair, Transform.identity())
    assert symmetric.symmetry > 0.9
    structure = common_structure(registration.pair, registration.transform)
    assert structure.symmetry < 0.25


@pytest.mark.parametrize(("tilt", "oblique"), [(0, 0), (25, 0), (-12, 40)])
def test_a_symmetric_head_is_recognised_however_it_is_tilted(tilt, oblique):
    pair = Pair("pair", head(tilt, oblique, person=1), (head(tilt, oblique, person=2),))
    structure = common_structure(pair, Transform.identity())
    assert structure.ratio > 2
    assert structure.symmetry > 0.8


def head(tilt, oblique, person):
    """Return a symmetric head, tilted in the world, on a flipped grid that is rotated in it."""
    shape, spacing = (48, 56, 44), (4, 3.5, 4.5)
    centred = torch.tensor([-n * s / 2 for n, s in zip(shape, spacing, strict=True)])
    affine = torch.diag(torch.tensor([*spacing, 1.0])).double()
    affine[:3, 3] = centred
    flip = torch.diag(torch.tensor([1.0, -1, 1, 1])).double()
    grid = Grid(shape, rotation(oblique) @ flip @ affine)
    points = grid.to_world(identity_index(grid.shape)[0].flatten(1).T)
    x, y, z = (points @ rotation(tilt)[:3, :3]).T
    image = torch.zeros(len(points), dtype=torch.float64)
    for (cx, cy, cz), (a, b, c), value in HEAD:
        for side in (-1, 1):
            distance = ((x - side * cx) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2
            image = torch.where(distance < 0.95**person, value ** (1 / person), image)
    noise = 0.03 * torch.randn(len(points), generator=torch.Generator().manual_seed(person))
    return Volume((image + noise).float().view(grid.shape), grid, Path("head.nii.gz"))


HEAD = (
    ((0, 0, 0), (60, 75, 75), 0.5),  # the skull
    ((0, 72, -20), (12, 15, 20), 0.7),  # the nose
    ((28, 55, 10), (12, 12, 12), 1.0),  # the eyes
    ((12, 0, 10), (8, 30, 12), 0.1),  # the ventricles
    ((30, -40, -25), (20, 25, 15), 0.8),  # the cerebellum
)
"""Centre of the right half and radii in mm, and intensity, of each part."""


def rotation(degrees):
    angle = torch.deg2rad(torch.tensor(float(degrees), dtype=torch.float64))
    c, s = float(angle.cos()), float(angle.sin())
    rows = [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


def test_another_anatomy_agrees_as_unrelated_images_do(registration):
    other = phantom_registration(40).pair
    pair = replace(registration.pair, moving=other.moving)
    assert common_structure(pair, Transform.identity()).ratio < 1.3


def test_noise_agrees_as_unrelated_images_do(registration):
    moving = registration.pair.moving[0]
    noise = torch.randn(moving.grid.shape, generator=torch.Generator().manual_seed(0))
    pair = replace(registration.pair, moving=(replace(moving, data=noise),))
    assert common_structure(pair, registration.transform).ratio < 1.5


def test_a_transform_out_of_the_moving_image_leaves_nothing_to_compare(registration):
    far = torch.eye(4, dtype=torch.float64)
    far[0, 3] = 1e4
    assert common_structure(registration.pair, Transform(far)) is None


def test_the_copies_have_the_shape_and_about_the_values_of_the_image():
    image = torch.rand(6, 8, 10, generator=torch.Generator().manual_seed(1))
    copies = list(turned_and_shifted_copies(image))
    assert len(copies) == 10
    for copy in copies:
        assert copy.shape == image.shape
        assert float((copy - image).abs().mean()) > 0.1
        assert float(copy.mean()) == pytest.approx(float(image.mean()), abs=0.05)


def test_only_voxels_whose_neighbours_are_equal_are_constant():
    image = torch.zeros(5, 5, 5)
    image[4, 2, 2] = 1
    constant = constant_voxels(image)
    assert not constant[3:, 1:4, 1:4].any()
    assert int((~constant).sum()) == 2 * 3 * 3
