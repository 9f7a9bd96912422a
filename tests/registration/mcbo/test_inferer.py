"""The components of the MCBO bundle: presets, working grid, and the limit of the search."""

from dataclasses import replace

import pytest
import torch
from benchmarks.harness.spoiled_pairs import cases
from support.inferer_cases import brain_pair, ramp_pair, small_phantom

from zoo.errors import UserError
from zoo.registration.mcbo import MCBOInferer, mcbo_frame, solver_changes, solver_mode, write_preset
from zoo.registration.working_grid import NativeFrame
from zoo.registration.working_pair import exclude_padding, keep_background
from zoo.solvers.mcbo import MCBO


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "preset.json"
    write_preset(path, "paper", {"smooth": 1, "mind_radius": 2}, data={"name": "phantoms"})
    return path


def test_without_a_preset_mode_and_changes_are_as_given():
    assert solver_mode("accurate", None) == "accurate"
    assert solver_changes({"smooth": 3}, None) == {"smooth": 3}


def test_a_preset_sets_the_mode_and_is_overridden_by_changes(preset):
    assert solver_mode("accurate", preset) == "paper"
    assert solver_changes({"smooth": 3}, preset) == {"smooth": 3, "mind_radius": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "is not a preset of mcbo"),
        ('{"kind": "regzoo mcbo preset", "mode": "fast", "changes": {}}', "the modes are accurate"),
        ('{"kind": "regzoo mcbo preset", "mode": "paper", "changes": {"x": 1}}', "there is no 'x'"),
        (
            '{"kind": "regzoo mcbo preset", "mode": "paper", "changes": {}, "figures_afer": 1}',
            "figures_afer: a preset has no such key .did you mean figures_after",
        ),
        (
            '{"kind": "regzoo mcbo preset", "mode": "paper", "changes": {}, "data": ["$x"]}',
            "begins with",
        ),
    ],
)
def test_a_file_that_is_not_a_preset_is_refused(preset, text, message):
    preset.write_text(text)
    with pytest.raises(UserError, match=message):
        solver_mode("accurate", preset)


def test_convexadam_works_on_the_native_grid_and_the_other_modes_on_an_isotropic_one():
    assert isinstance(mcbo_frame("convexadam"), NativeFrame)
    grid = small_phantom().fixed_grid
    for mode in ("accurate", "paper"):
        assert mcbo_frame(mode, 4.0).grid(grid).spacing == pytest.approx((4, 4, 4), rel=0.1)


@pytest.mark.parametrize(("mode", "voxels"), [("accurate", 24), ("paper", 24)])
def test_the_notes_contain_the_largest_displacement_of_the_search(mode, voxels):
    inferer = MCBOInferer(mcbo_frame(mode, 3.0), affine="none", bar=False)
    result = inferer(ramp_pair(small_phantom()), MCBO(mode))
    spacing = min(mcbo_frame(mode, 3.0).grid(small_phantom().fixed_grid).spacing)
    assert result.notes["search_limit_mm"] == pytest.approx(voxels * spacing)


def _registered(pair):
    inferer = MCBOInferer(mcbo_frame("accurate"), affine="affine", bar=False)
    return inferer(pair, MCBO(changes={"adam_iterations": (20, 16)}))


@pytest.fixture(scope="module")
def mapped_points():
    """Where the registration of the brains without masks maps the landmarks of the fixed image."""
    pair, phantom = brain_pair()
    return _registered(pair).transform.map_points(phantom.fixed_points)


def _with_fixed(pair, data):
    return replace(pair, fixed=replace(pair.fixed, data=data))


def test_one_extreme_voxel_changes_neither_the_alignment_nor_the_deformation(mapped_points):
    pair, phantom = brain_pair()
    points = phantom.fixed_points
    data = pair.fixed.data.float().clone()
    data[21, 20, 18] = 1e9
    spoiled = _registered(_with_fixed(pair, data)).transform.map_points(points)
    assert (spoiled - mapped_points).norm(dim=1).max() < 0.05 * 2


@pytest.mark.parametrize("scale", [1e-30, 1e35])
def test_an_extreme_scale_of_the_intensities_changes_nothing(mapped_points, scale):
    pair, phantom = brain_pair()
    fixed = pair.fixed.data.float() / float(pair.fixed.data.max())
    points = phantom.fixed_points
    scaled = _registered(_with_fixed(pair, fixed * scale)).transform.map_points(points)
    assert (scaled - mapped_points).norm(dim=1).max() < 0.05 * 2


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_one_mask_alone_counts_and_a_mask_of_ones_changes_nothing(mapped_points, side):
    pair, phantom = brain_pair("mask")
    points = phantom.fixed_points

    def result(mask):
        masks = {"fixed_mask": None, "moving_mask": None, f"{side}_mask": mask}
        return _registered(replace(pair, **masks)).transform.map_points(points)

    mask = getattr(pair, f"{side}_mask")
    assert torch.equal(result(replace(mask, data=torch.ones_like(mask.data))), mapped_points)
    assert not torch.equal(result(mask), mapped_points)


def test_masks_of_the_brains_do_not_make_a_pair_worse(mapped_points):
    pair, phantom = brain_pair("mask")
    masked = _registered(pair).transform.map_points(phantom.fixed_points)
    errors = [
        float((points - phantom.moving_points).norm(dim=1).mean())
        for points in (masked, mapped_points)
    ]
    assert errors[0] < 1.05 * errors[1]


def _stripped(pair):
    """Return the pair with zero outside its masks, as brains without their skulls."""
    fixed = replace(pair.fixed, data=pair.fixed.data * (pair.fixed_mask.data > 0))
    moving = replace(pair.moving[0], data=pair.moving[0].data * (pair.moving_mask.data > 0))
    return replace(pair, fixed=fixed, moving=(moving,))


def test_masks_that_contain_all_but_the_background_change_nothing():
    pair, phantom = brain_pair("mask")
    stripped = _stripped(pair)
    without = replace(stripped, fixed_mask=None, moving_mask=None)
    results = [
        _registered(p).transform.map_points(phantom.fixed_points) for p in (stripped, without)
    ]
    assert torch.equal(*results)


def test_only_a_mask_that_outlines_the_body_keeps_the_background():
    pair, _ = brain_pair("mask")
    stripped = _stripped(pair)
    brain = stripped.fixed_mask.data > 0
    most, half = brain.clone(), brain.clone()
    most[brain.nonzero()[::10].unbind(1)] = False
    half[: brain.shape[0] // 2] = False
    for data, expected in ((most, most | ~brain), (half, half)):
        mask = replace(pair.fixed_mask, data=data.to(torch.uint8))
        found = keep_background(replace(stripped, fixed_mask=mask)).fixed_mask
        assert torch.equal(found.data > 0, expected)
    assert keep_background(pair).fixed_mask is pair.fixed_mask  # with its skull


def _cut(pair, side, value):
    """Return the pair with padding of a value in the upper 40 % of an image, and the data."""
    volume = pair.fixed if side == "fixed" else pair.moving[0]
    data = torch.ones(volume.data.shape, dtype=torch.bool)
    data[:, :, volume.data.shape[2] * 6 // 10 :] = False
    cut = replace(volume, data=torch.where(data, volume.data.float(), value))
    changed = replace(pair, fixed=cut) if side == "fixed" else replace(pair, moving=(cut,))
    return changed, data


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_padding_that_cuts_off_a_body_is_excluded_and_filled(side):
    pair, _ = brain_pair()
    cut, data = _cut(pair, side, -50.0)
    found = exclude_padding(cut, fill=True)
    mask = getattr(found, f"{side}_mask")
    assert torch.equal(mask.data > 0, data)
    other = "moving" if side == "fixed" else "fixed"
    assert getattr(found, f"{other}_mask") is None
    image = found.fixed if side == "fixed" else found.moving[0]
    original = pair.fixed if side == "fixed" else pair.moving[0]
    assert torch.equal(image.data[data], original.data.float()[data])
    assert float(image.data.min()) > -50


def test_masks_and_padding_are_combined():
    pair, _ = brain_pair("mask")
    cut, data = _cut(pair, "fixed", 0.0)
    found = exclude_padding(cut)
    assert found.moving_mask is pair.moving_mask
    assert torch.equal(found.fixed_mask.data > 0, (pair.fixed_mask.data > 0) & data)
    assert torch.equal(found.fixed.data, cut.fixed.data)


def test_the_zeros_around_a_brain_are_kept():
    pair, _ = brain_pair("mask")
    brain = torch.where(pair.fixed_mask.data > 0, pair.fixed.data.float(), 0)
    stripped = _with_fixed(replace(pair, fixed_mask=None, moving_mask=None), brain)
    assert exclude_padding(stripped, fill=True) == stripped


def test_the_value_of_padding_does_not_influence_the_deformation():
    pair, phantom = brain_pair()
    points = [
        _registered(_cut(pair, "moving", value)[0]).transform.map_points(phantom.fixed_points)
        for value in (0.0, -300.0)
    ]
    assert (points[0] - points[1]).norm(dim=1).max() < 0.05 * 2


@pytest.mark.parametrize(
    ("name", "coverage"),
    [("synthetic head, 8", 1.0), ("two fifths of the field of view, 0", 0.4)],
)
def test_the_map_is_one_to_one_where_the_fields_of_view_or_the_bodies_differ(name, coverage):
    pair = next(case for case in cases(9) if case.name == name).make()
    covered = pair.moving[0].grid.voxels / pair.fixed.grid.voxels
    assert covered == pytest.approx(coverage, abs=0.02)
    found = MCBOInferer(mcbo_frame("accurate"), affine="auto", bar=False)(pair, MCBO())
    assert found.notes["unfolded_percent"] > 1  # the field of the search folds
    assert found.measured.figures["folding_percent"] < 0.05
