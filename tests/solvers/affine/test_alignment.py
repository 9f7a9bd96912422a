import pytest
import torch
from support.affine_cases import FIXED, TARGETS, TRUTH, draw, error, placed, world_map

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
from zoo.synthesis.phantom import make_pair


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
def test_unrelated_images_do_not_get_worse(few_points, kind):
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


@pytest.mark.parametrize("seed", [2, 3])
def test_a_header_that_is_rounded_hardly_changes_the_transform(seed):
    contrasts = ("t1", "t2" if seed % 2 else "t1")
    pair = make_pair(seed, shape=(40, 44, 36), spacing=(4, 4, 5), contrasts=contrasts)
    rounded = pair.moving_grid.affine.clone()
    rounded[:3] *= 1 + 1e-6
    corners = pair.fixed_grid.to_world(torch.tensor([[0.0, 0, 0], [39, 43, 35], [39, 0, 0]]))
    one, other = (
        align_affine(pair.fixed, pair.fixed_grid, pair.moving, grid).matrix
        for grid in (pair.moving_grid, Grid(pair.moving_grid.shape, rounded))
    )
    change = (corners @ (one - other)[:3, :3].T + (one - other)[:3, 3]).norm(dim=1)
    assert not torch.equal(one, torch.eye(4, dtype=torch.float64))
    assert float(change.max()) < 0.03
