import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance
from scipy import ndimage
from support.grid_cases import simple_itk_image
from support.report_cases import in_memory, phantom_registration

from zoo import UserError
from zoo.evaluation import metrics
from zoo.geometry import Grid, Transform, invert, match_axes
from zoo.io.volume import Volume
from zoo.measures import dice
from zoo.synthesis.phantom import make_pair

SPACING = (1.5, 0.8, 2.6)


def blobs(seed, shape=(26, 22, 19), count=4):
    random = np.random.default_rng(seed)
    smooth = np.stack(
        [ndimage.gaussian_filter(random.normal(size=shape), 2.5) for _ in range(count)]
    )
    return torch.from_numpy(
        np.where(smooth.max(0) > 0.05, smooth.argmax(0) + 1, 0).astype(np.uint8)
    )


@pytest.mark.parametrize("seed", range(4))
def test_dice_and_hd95_agree_with_monai_on_random_labels(seed):
    a, b = blobs(seed), blobs(seed + 100)
    for label in range(1, 5):
        one, two = (a == label)[None, None].float(), (b == label)[None, None].float()
        theirs = compute_hausdorff_distance(
            one, two, include_background=True, percentile=95, spacing=list(SPACING)
        )
        assert metrics.hd95(a == label, b == label, SPACING) == pytest.approx(float(theirs), 1e-5)
        assert dice(a == label, b == label) == pytest.approx(float(compute_dice(one, two)))


def test_hd95_agrees_with_distance_maps_of_scipy():
    a, b = (blobs(seed).numpy() > 0 for seed in (7, 8))
    edges = [m & ~ndimage.binary_erosion(m) for m in (a, b)]
    maps = [ndimage.distance_transform_edt(~e, sampling=SPACING) for e in edges]
    expected = max(np.percentile(maps[1][edges[0]], 95), np.percentile(maps[0][edges[1]], 95))
    result = metrics.hd95(torch.from_numpy(a), torch.from_numpy(b), SPACING)
    assert result == pytest.approx(expected)


def test_hd95_of_a_shifted_box_is_the_shift_in_mm():
    a, b = torch.zeros(2, 30, 20, 20, dtype=torch.bool)
    a[5:15, 5:15, 5:15] = True
    b[9:19, 5:15, 5:15] = True
    assert metrics.hd95(a, b, (2.5, 1.0, 1.0)) == pytest.approx(10.0)


def test_cropping_to_a_label_changes_neither_dice_nor_hd95():
    registration = phantom_registration()
    pair, grid = registration.pair, registration.pair.fixed.grid
    rows = metrics.per_label(pair, Transform.identity(), Transform.identity())
    assert set(rows) == {str(k) for k in range(1, 13)}
    for label, row in rows.items():
        moved = metrics.warp(
            pair.moving_labels.data[None],
            pair.moving_labels.grid,
            grid,
            Transform.identity(),
            interpolation="nearest",
        )[0]
        masks = pair.fixed_labels.data == int(label), moved == int(label)
        assert row["dice_before"] == dice(*masks)
        assert row["hd95_mm_before"] == pytest.approx(metrics.hd95(*masks, grid.spacing))


def test_a_label_that_vanishes_has_dice_0_and_no_hd95():
    a, b = blobs(1) == 1, torch.zeros(26, 22, 19, dtype=torch.bool)
    assert dice(a, b) == 0
    assert metrics.hd95(a, b, SPACING) is None
    assert dice(b, b) is None


def test_landmark_errors_agree_with_simple_itk(grid):
    import SimpleITK as sitk

    field = 3 * torch.randn(3, *grid.shape)
    centre = torch.tensor(grid.shape).double() / 2
    fixed = grid.to_world(centre + 6 * torch.randn(25, 3).clamp(-1, 1).double())
    moving = fixed + torch.randn(25, 3).double()
    flip = torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64)
    image = sitk.Cast(simple_itk_image(field, grid), sitk.sitkVectorFloat64)
    theirs = sitk.DisplacementFieldTransform(image)
    mapped = [theirs.TransformPoint((p * flip).tolist()) for p in fixed]
    expected = (torch.tensor(mapped).double() * flip - moving).norm(dim=1)
    result = metrics.landmark_errors(Transform(torch.eye(4), field, grid), fixed, moving)
    assert torch.allclose(result, expected, atol=1e-4)


def test_error_figures_of_ten_known_errors():
    result = metrics.error_figures(torch.arange(1, 11).double())
    assert result["tre_mm"] == pytest.approx(5.5)
    assert result["tre_mm_median"] == pytest.approx(5.5)
    assert result["tre_mm_p95"] == pytest.approx(9.55)
    assert result["tre_mm_hardest30"] == pytest.approx(9.0)


@pytest.mark.parametrize(
    ("values", "hardest"), [([4.0], 4.0), ([1.0, 6.0, 2.0], 6.0), ([1.0, 9.0, 5.0, 2.0, 3.0], 7.0)]
)
def test_the_hardest_30_percent_of_few_landmarks_are_at_least_one(values, hardest):
    result = metrics.error_figures(torch.tensor(values, dtype=torch.float64))
    assert result["tre_mm_hardest30"] == pytest.approx(hardest)


def test_the_true_transform_is_better_than_the_identity_in_every_figure():
    registration = phantom_registration(contrasts=("t1", "t2"))
    result = metrics.measure(registration.pair, registration.transform).figures
    assert result["dice_after"] > result["dice_before"] + 0.05
    assert result["hd95_mm_after"] < result["hd95_mm_before"]
    assert result["tre_mm_after"] < 0.1 < result["tre_mm_before"]
    assert result["similarity_after"] > result["similarity_before"]
    assert result["nmi_after"] > result["nmi_before"]
    assert result["folding_percent"] == 0


def test_figures_do_not_depend_on_the_axis_order_of_the_moving_image():
    registration = phantom_registration()
    pair = registration.pair
    target = Grid.from_spacing((1, 1, 1))
    there = Grid(target.shape, target.affine[[2, 0, 1, 3]])
    turned = [
        Volume(*match_axes(v.data, v.grid, there), v.path)
        for v in (pair.moving[0], pair.moving_labels)
    ]
    other = replace(pair, moving=(turned[0],), moving_labels=turned[1])
    one = metrics.measure(pair, registration.transform).figures
    two = metrics.measure(other, registration.transform).figures
    for name, value in one.items():
        assert two[name] == pytest.approx(value, abs=2e-3), name


def test_similarity_does_not_depend_on_the_sign_of_the_contrast():
    phantom = make_pair(4, shape=(40, 40, 40), noise=False)
    pair = in_memory(phantom)
    inverted = Volume(700 - phantom.moving, phantom.moving_grid, pair.moving[0].path)
    plain = metrics.measure(pair, phantom.truth).figures
    other = metrics.measure(replace(pair, moving=(inverted,)), phantom.truth).figures
    assert other["similarity_after"] == pytest.approx(plain["similarity_after"], abs=0.03)


def test_overlap_decreases_with_a_shift_out_of_the_field_of_view():
    registration = phantom_registration(tilt_degrees=0.0)
    grid = registration.pair.fixed.grid
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = grid.linear[:, 0] * grid.shape[0] / 2
    result = metrics.measure(registration.pair, Transform(shift)).figures
    assert result["overlap_percent_before"] == 100
    assert result["overlap_percent_after"] == pytest.approx(50, abs=6)


def test_folding_of_a_mirroring_and_of_a_folding_transform_is_measured():
    grid = Grid.from_spacing((12, 12, 12))
    mirror = Transform(torch.diag(torch.tensor([-1.0, 1, 1, 1])))
    assert metrics.regularity(mirror, grid)["folding_percent"] == 100
    field = torch.zeros(3, 12, 12, 12)
    field[0, 6] = -2  # neighbours at 5 and 7: dT/dx = 1 + (-2) / 2 at x = 5
    folded = metrics.regularity(Transform(torch.eye(4), field, grid), grid)
    assert folded["folding_percent"] == pytest.approx(100 / 12)
    assert folded["deformation_mm_mean"] == pytest.approx(2 / 12)


def test_the_lengths_of_displacements_are_those_of_torch_to_the_last_bit():
    grid = Grid.from_spacing((11, 12, 13))
    field = torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(0))
    figures = metrics.regularity(Transform(torch.eye(4), field, grid), grid)
    lengths = field.norm(dim=0).flatten()
    assert figures["deformation_mm_mean"] == float(lengths.double().mean())
    rank = math.ceil(0.99 * len(lengths))
    assert figures["deformation_mm_p99"] == float(lengths.kthvalue(rank)[0])


def test_inverse_consistency_is_the_remaining_distance_of_a_wrong_inverse():
    registration = phantom_registration()
    pair, true = registration.pair, registration.transform
    right = metrics.measure(pair, true, invert(true, pair.moving[0].grid).transform).figures
    wrong = metrics.measure(pair, true, Transform.identity()).figures
    assert right["inverse_consistency_mm"] < 0.05
    assert wrong["inverse_consistency_mm"] > 2
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([0.0, 0.0, 1.5])
    moved = metrics.measure(pair, Transform(shift), Transform.identity()).figures
    assert moved["inverse_consistency_mm"] == pytest.approx(1.5)


def test_a_field_that_is_not_finite_is_refused():
    registration = phantom_registration()
    field = registration.transform.field.clone()
    field[1, 3, 4, 5] = float("nan")
    bad = Transform(torch.eye(4), field, registration.transform.grid)
    with pytest.raises(UserError, match="1 voxels with NaN or Inf"):
        metrics.measure(registration.pair, bad)
