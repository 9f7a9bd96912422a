import math

import pytest
import torch

from zoo.errors import UserError
from zoo.geometry.grid import Grid
from zoo.measures.body import find_body
from zoo.solvers.affine.alignment import (
    STRETCH_LIMIT,
    align_affine,
    measure_given_affine,
    select_alignment,
)
from zoo.solvers.affine.objective import AffineObjective
from zoo.synthesis.phantom import placed_grid

SIZE = torch.tensor([62.0, 78.0, 58.0], dtype=torch.float64)  # half-widths of the body, mm


def anatomy(points):
    """Return the values of an ellipsoid with bright and dark organs at world points (n, 3) mm."""
    generator = torch.Generator().manual_seed(5)
    body = torch.sigmoid((1 - (points / SIZE).norm(dim=1)) * 25)
    inner = torch.zeros(len(points), dtype=torch.float64)
    for _ in range(14):
        centre = (torch.rand(3, generator=generator, dtype=torch.float64) - 0.5) * 1.2 * SIZE
        width = 8 + 12 * torch.rand(1, generator=generator, dtype=torch.float64)
        sign = 1 if torch.rand(1, generator=generator) > 0.4 else -0.8
        inner += sign * torch.exp(-((points - centre).square().sum(1)) / (2 * width**2))
    return body * (1 + 0.7 * torch.tanh(inner))


def draw(grid, matrix=None, noise=0.03):
    """Draw the anatomy moved by a 4x4 world matrix."""
    points = grid.to_world(torch.cartesian_prod(*[torch.arange(n) for n in grid.shape]))
    if matrix is not None:
        back = torch.linalg.inv(matrix)
        points = points @ back[:3, :3].T + back[:3, 3]
    image = anatomy(points).float().view(grid.shape)
    return image + noise * torch.randn(grid.shape, generator=torch.Generator().manual_seed(0))


def world_map(turn=(0, 0, 0), scale=(1, 1, 1), shift=(0, 0, 0)):
    """Return a 4x4 map that scales along the axes, rotates by degrees and shifts by mm."""
    x, y, z = (math.radians(t) for t in turn)
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.matrix_exp(skew) @ torch.diag(torch.tensor(scale, dtype=torch.float64))
    matrix[:3, 3] = torch.tensor(shift, dtype=torch.float64)
    return matrix


def error(result, truth):
    """Return the mean distance in mm between two maps over the body."""
    random = torch.Generator().manual_seed(1)
    points = (torch.rand(500, 3, generator=random, dtype=torch.float64) * 2 - 1) * SIZE
    points = points[(points / SIZE).norm(dim=1) < 1]
    change = result - truth
    return float((points @ change[:3, :3].T + change[:3, 3]).norm(dim=1).mean())


def placed(shape, spacing, axes="RAS", tilt=0.0, centre=(0, 0, 0)):
    """Return a grid centred at a world point."""
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor(centre, dtype=torch.float64)
    return placed_grid(shape, spacing, axes, tilt).moved(shift)


FIXED = placed((52, 64, 50), (3, 3, 3))
TRUTH = world_map((8, -6, 10), (1.1, 0.92, 1.04), (12, -7, 9))
TARGETS = {
    "same": placed((56, 66, 54), (3, 3, 3), centre=(10, -5, 10)),
    "LAS": placed((56, 66, 54), (3, 3, 3), "LAS", centre=(10, -5, 10)),
    "permuted": placed((54, 56, 66), (3, 3, 3), "SLA", centre=(10, -5, 10)),
    "oblique, anisotropic": placed((88, 104, 36), (2, 2, 5), "LPS", 25, (10, -5, 10)),
    "large": placed((80, 80, 80), (3.5, 3.5, 3.5), centre=(40, -40, 30)),
}


@pytest.mark.parametrize("grid", TARGETS.values(), ids=TARGETS)
def test_a_known_map_is_found_on_every_kind_of_grid(grid):
    start = align_affine(draw(FIXED), FIXED, draw(grid, TRUTH), grid)
    assert start.kind == "affine"
    assert error(torch.eye(4), TRUTH) > 15
    assert error(start.matrix, TRUTH) < 0.4


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (world_map((30, 0, 0), shift=(50, 0, 0)), "rigid"),
        (world_map((-17, 17, 18), shift=(0, -35, 35)), "rigid"),
        (world_map(scale=(0.8, 0.8, 0.8)), "affine"),
        (world_map(scale=(1.25, 1.25, 1.25), shift=(5, 5, 5)), "affine"),
    ],
    ids=["30 degrees, 50 mm", "30 degrees about an oblique axis, 49 mm", "scale .8", "scale 1.25"],
)
def test_large_maps_are_found(truth, kind):
    grid = placed((70, 76, 68), (3, 3, 3), centre=truth[:3, 3].tolist())
    start = align_affine(draw(FIXED), FIXED, draw(grid, truth), grid, kind)
    assert start.kind == kind
    assert error(start.matrix, truth) < 0.4


@pytest.mark.parametrize(
    "contrast",
    [lambda v: 1.5 - v, lambda v: (v - 0.9).abs(), lambda v: -1000 + 1040 * v.clamp(0, 1.2)],
    ids=["inverted", "folded", "like CT"],
)
def test_the_contrast_does_not_matter(contrast):
    grid = TARGETS["LAS"]
    start = align_affine(draw(FIXED), FIXED, contrast(draw(grid, TRUTH)), grid)
    assert error(start.matrix, TRUTH) < 0.8


@pytest.mark.parametrize("half", [slice(0, 27), slice(27, 54)], ids=["lower", "upper"])
@pytest.mark.parametrize("cut", ["fixed", "moving"])
def test_half_of_the_slices_are_enough(half, cut):
    truth = world_map((6, -4, 8), shift=(8, -6, 5))
    grid = TARGETS["same"]
    change = torch.eye(4, dtype=torch.float64)
    change[2, 3] = half.start
    part = Grid((*grid.shape[:2], 27), grid.affine @ change)
    if cut == "moving":
        start = align_affine(draw(FIXED), FIXED, draw(part, truth), part, "rigid")
        assert error(start.matrix, truth) < 1
    else:
        back = torch.linalg.inv(truth)
        start = align_affine(draw(part, truth), part, draw(FIXED), FIXED, "rigid")
        assert error(torch.linalg.inv(start.matrix), torch.linalg.inv(back)) < 1


def test_aligned_images_need_no_map():
    grid = placed((74, 84, 40), (2, 2, 4), "LPS", 15)
    start = align_affine(draw(FIXED), FIXED, 1.5 - draw(grid), grid)
    assert (start.kind, start.shift) == ("none", 0)
    assert torch.equal(start.matrix, torch.eye(4, dtype=torch.float64))
    assert "aligned already" in start.reason


def test_swapping_the_images_gives_the_inverse():
    grid = TARGETS["oblique, anisotropic"]
    fixed, moving = draw(FIXED), draw(grid, TRUTH)
    there = align_affine(fixed, FIXED, moving, grid)
    back = align_affine(moving, grid, fixed, FIXED)
    assert error(back.matrix @ there.matrix, torch.eye(4)) < 0.2


def test_the_number_of_threads_does_not_matter():
    grid = TARGETS["oblique, anisotropic"]
    fixed, moving = draw(FIXED), draw(grid, TRUTH)
    before = torch.get_num_threads()
    result = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        result.append(align_affine(fixed, FIXED, moving, grid, "rigid").matrix)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert error(result[0], result[1]) < 1e-3


def test_centre_of_mass_alone_is_a_shift():
    truth = world_map(shift=(20, -13, 31))
    grid = placed((52, 64, 50), (3, 3, 3), "LPS", centre=(20, -13, 31))
    start = align_affine(draw(FIXED), FIXED, draw(grid, truth), grid, "com")
    assert start.kind == "com"
    assert torch.equal(start.matrix[:3, :3], torch.eye(3, dtype=torch.float64))
    assert error(start.matrix, truth) < 0.5


def test_similarity_and_overlap_are_reported_before_and_after():
    grid = TARGETS["large"]
    start = align_affine(draw(FIXED), FIXED, draw(grid, TRUTH), grid)
    assert 1 < start.similarity[0] < start.similarity[1] < 2
    assert 0 <= start.overlap[0] <= start.overlap[1] <= 1
    assert start.shift == pytest.approx(error(torch.eye(4), TRUTH), rel=0.15)
    assert start.matrix.dtype == torch.float64
    assert "normalised mutual information changes from 1." in start.reason


def test_works_without_gradients_enabled():
    grid = TARGETS["LAS"]
    with torch.no_grad():
        start = align_affine(draw(FIXED), FIXED, draw(grid, TRUTH), grid)
    assert error(start.matrix, TRUTH) < 0.4


@pytest.mark.parametrize("kind", ["auto", "rigid", "affine"])
def test_unrelated_images_do_not_get_worse(kind):
    generator = torch.Generator().manual_seed(4)
    fixed, moving = (torch.rand(24, 24, 24, generator=generator) for _ in range(2))
    grid = Grid.from_spacing((24, 24, 24), (4, 4, 4))
    start = align_affine(fixed, grid, moving, grid, kind)
    assert start.similarity[1] >= start.similarity[0]
    assert start.overlap[1] >= 0.4
    if kind == "auto":
        assert start.kind == "none"


def test_a_map_that_fits_worse_or_stretches_too_far_is_never_chosen():
    body = find_body(draw(FIXED), FIXED, 3, "fixed")
    objective = AffineObjective(body, body, 5000)
    bad = {
        "none": world_map(),
        "com": world_map(shift=(6, 0, 0)),
        "rigid": world_map((20, 0, 0)),
        "affine": world_map(scale=(0.8, 1, 1)),
    }
    assert select_alignment(objective, bad, "affine").kind == "none"
    stretched = {"none": world_map(shift=(40, 0, 0)), "affine": world_map(scale=(1.01, 1, 1))}
    assert select_alignment(objective, stretched, "affine").kind == "affine"
    stretched["affine"] = world_map(scale=(STRETCH_LIMIT * 1.01, 1, 1))
    assert select_alignment(objective, stretched, "affine").kind == "none"


def test_none_is_returned_as_requested():
    grid = TARGETS["same"]
    start = align_affine(draw(FIXED), FIXED, draw(grid, TRUTH), grid, "none")
    assert start.kind == "none"
    assert start.similarity[0] == start.similarity[1]
    assert start.reason == "requested"


def test_a_given_map_is_measured_and_not_changed():
    grid = TARGETS["same"]
    start = measure_given_affine(draw(FIXED), FIXED, draw(grid, TRUTH), grid, TRUTH)
    assert start.kind == "given"
    assert torch.equal(start.matrix, TRUTH)
    assert start.similarity[1] > start.similarity[0]


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_a_constant_image_is_an_error(which):
    image, constant = draw(FIXED), torch.zeros(FIXED.shape)
    images = (constant, image) if which == "fixed" else (image, constant)
    with pytest.raises(UserError, match=f"the {which} image is constant"):
        align_affine(images[0], FIXED, images[1], FIXED)


def test_an_unknown_kind_is_an_error():
    image = draw(FIXED)
    with pytest.raises(UserError, match="'similarity' is unknown; choose one of auto, none"):
        align_affine(image, FIXED, image, FIXED, "similarity")


def half_of(grid, upper):
    """Return a mask of one half of a grid along its first axis."""
    mask = torch.zeros(grid.shape)
    middle = grid.shape[0] // 2
    mask[middle:] = float(upper)
    mask[:middle] = float(not upper)
    return mask


def test_masks_of_ones_change_nothing():
    grid = TARGETS["oblique, anisotropic"]
    fixed, moving = draw(FIXED), draw(grid, TRUTH)
    plain = align_affine(fixed, FIXED, moving, grid)
    ones = {"fixed_mask": torch.ones(FIXED.shape), "moving_mask": torch.ones(grid.shape)}
    assert torch.equal(align_affine(fixed, FIXED, moving, grid, **ones).matrix, plain.matrix)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_voxels_outside_a_mask_do_not_influence_the_alignment(side):
    grid = TARGETS["same"]
    images = {"fixed": draw(FIXED), "moving": draw(grid, TRUTH)}
    own = FIXED if side == "fixed" else grid
    mask = half_of(own, upper=True)
    results = []
    for value in (0, 5):
        spoiled = images | {side: torch.where(mask > 0, images[side], value)}
        result = align_affine(
            spoiled["fixed"], FIXED, spoiled["moving"], grid, **{f"{side}_mask": mask}
        )
        results.append(result.matrix)
    assert torch.equal(*results)
    assert error(results[0], TRUTH) < 4


def test_an_empty_mask_is_refused():
    image = draw(FIXED)
    with pytest.raises(UserError, match=r"the mask of the fixed image covers 0 of \d+ voxels"):
        align_affine(image, FIXED, image, FIXED, fixed_mask=torch.zeros(FIXED.shape))


def cut(image, axis, part, value=0.0):
    """Return an image whose first or last (negative) part along an axis is padding, and its data.

    `part` is a fraction of the length of the axis.
    """
    data = torch.zeros(image.shape, dtype=torch.bool)
    n = round(abs(part) * image.shape[axis])
    size = image.shape[axis] - n
    data.narrow(axis, n if part > 0 else 0, size).fill_(True)
    return torch.where(data, image, value), data


@pytest.mark.parametrize("target", ["same", "oblique, anisotropic"])
def test_padding_of_any_value_does_not_influence_the_alignment(target):
    grid = TARGETS[target]
    truth = world_map((6, -4, 8), shift=(12, -7, 9))
    moving = draw(grid, truth)
    matrices = [
        align_affine(draw(FIXED), FIXED, cut(moving, 1, 0.45, value)[0], grid, "affine").matrix
        for value in (0.0, -2.0, 5.0)
    ]
    assert error(matrices[1], matrices[0]) < 0.1
    assert error(matrices[2], matrices[0]) < 0.1
    assert error(matrices[0], truth) < 1.5


def test_padding_counts_like_a_mask_that_excludes_it():
    grid = TARGETS["LAS"]
    moving = draw(grid, TRUTH)
    padded, data = cut(moving, 2, 0.4)
    by_padding = align_affine(draw(FIXED), FIXED, padded, grid)
    by_mask = align_affine(draw(FIXED), FIXED, moving, grid, moving_mask=data)
    assert error(by_padding.matrix, by_mask.matrix) < 1


def test_images_that_cover_different_parts_are_aligned():
    grid = TARGETS["same"]
    truth = world_map((5, -5, 8), shift=(15, -10, 12))
    fixed, _ = cut(draw(FIXED), 2, 0.4)
    moving, _ = cut(draw(grid, truth), 2, -0.35)
    com = align_affine(fixed, FIXED, moving, grid, "com")
    found = align_affine(fixed, FIXED, moving, grid, "rigid")
    assert error(com.matrix, truth) > 20
    assert error(found.matrix, truth) < 2
    assert not found.header_fault
