import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from support.mcbo_cases import pair, phantom

from zoo.errors import UserError
from zoo.solvers.mcbo import MCBO


def error(result, truth, border=6):
    inner = (slice(border, -border),) * 3
    return float((result[0] - truth).norm(dim=0)[inner].mean())


@pytest.fixture(scope="module")
def registered(small):
    """Return a function that registers the small pair in a mode, once."""
    return cache(lambda mode: MCBO(mode)(pair(small[1], small[0])))


@pytest.mark.parametrize(("mode", "share"), [("accurate", 0.25), ("convexadam", 0.4)])
def test_recovers_a_deformation(small, registered, mode, share):
    truth, result = small[2], registered(mode)
    assert result.shape == (1, 3, 48, 48, 36)
    assert result.dtype == torch.float32
    assert error(result, truth) < share * float(truth.norm(dim=0).mean())


def test_recovers_it_across_contrasts(small):
    fixed, moving, truth = small
    other = torch.cos(moving / moving.std()) + 0.1 * moving / moving.std()
    result = MCBO()(pair(other, fixed))
    assert error(result, truth) < 0.6 * float(truth.norm(dim=0).mean())


def test_published_convexadam_is_that_of_pypi():
    convexadam = pytest.importorskip("convexAdam.convex_adam_MIND")
    fixed, moving, truth = phantom((50, 43, 38), seed=1)  # no axis is a multiple of 6
    expected = convexadam.convex_adam_pt(fixed, moving, device=torch.device("cpu"))
    expected = torch.tensor(expected).movedim(-1, 0)[None].float()
    result = MCBO("convexadam", changes={"published": True})(pair(moving, fixed))
    assert (result - expected).norm(dim=1).mean() < 0.05
    corrected = MCBO("convexadam")(pair(moving, fixed))
    assert error(corrected, truth, 2) < error(expected, truth, 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flipping_both_images_flips_the_field(small, registered, axis):
    fixed, moving, truth = small
    here = registered("accurate")
    there = MCBO()(pair(moving, fixed).flip(axis + 2)).flip(axis + 2)
    there[:, axis] *= -1
    assert (here - there).norm(dim=1).mean() < 0.03 * float(truth.norm(dim=0).mean())


def test_swapping_the_images_gives_about_the_inverse(small, registered):
    fixed, moving, truth = small
    forward, backward = registered("accurate"), MCBO()(pair(fixed, moving))
    index = np.stack(np.meshgrid(*map(np.arange, fixed.shape), indexing="ij"))
    back = [
        map_coordinates(v, index + forward[0].numpy(), order=1, mode="nearest")
        for v in backward[0].numpy()
    ]
    closed = forward[0] + torch.tensor(np.stack(back))
    assert error(closed[None], 0 * truth) < 0.25 * float(truth.norm(dim=0).mean())


@pytest.mark.parametrize("mode", ["accurate", "convexadam"])
def test_threads_do_not_change_the_field(small, mode):
    image = pair(small[1], small[0])
    before = torch.get_num_threads()
    fields = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        fields.append(MCBO(mode)(image))
    torch.set_num_threads(before)
    assert (fields[0] - fields[1]).abs().max() < 1e-4


def test_memory_does_not_change_the_field(small, registered):
    image = pair(small[1], small[0])
    assert torch.equal(registered("accurate"), MCBO(memory=1 << 20)(image))


@pytest.mark.parametrize("fusion", ["max_norm", "signed_max", "mean", "min_cost"])
@pytest.mark.parametrize("mode", ["accurate", "paper"])
def test_several_moving_images_are_fused(small, fusion, mode):
    """A second image without new information changes little."""
    fixed, moving, truth = small
    changes = {"levels": [6, 4], "reach": [3, 2]}
    changes["weights"] = [0.5, 0.5] if mode == "paper" else None
    solver = MCBO(mode, fusion=fusion, changes=changes)
    alone = solver(pair(moving, fixed))
    both = solver(pair(moving, 3 - 2 * moving, fixed))
    assert both.shape == alone.shape
    assert (both - alone).norm(dim=1).mean() < 0.1 * float(truth.norm(dim=0).mean())


def test_a_batch_is_registered_pair_by_pair(small):
    image = pair(small[1], small[0])[:, :, :30, :30, :30]
    solver = MCBO(changes={"adam_iterations": [3, 3]})
    both = solver(torch.cat([image, image.flip(1)]))
    assert torch.equal(both[:1], solver(image))
    assert torch.equal(both[1:], solver(image.flip(1)))


@pytest.mark.parametrize(("mode", "tolerance"), [("accurate", 0.2), ("paper", 1.5)])
def test_rigid_returns_a_rigid_motion(small, mode, tolerance):
    moving = small[1]
    shifted = torch.roll(moving, (2, -3), (0, 1))  # moving(i) = shifted(i + (2, -3, 0))
    changes = {"reach": [2, 2, 2, 2]} if mode == "paper" else {}
    result = MCBO(mode, rigid=True, changes=changes)(pair(shifted, moving))
    assert (result[0].mean((1, 2, 3)) - torch.tensor([2.0, -3.0, 0.0])).abs().max() < tolerance
    jacobian = torch.stack([result[0, :, 1, 0, 0], result[0, :, 0, 1, 0], result[0, :, 0, 0, 1]], 1)
    jacobian += torch.eye(3) - result[0, :, 0, 0, 0, None]
    torch.testing.assert_close(jacobian.T @ jacobian, torch.eye(3), atol=1e-4, rtol=0)
    assert result.diff(dim=2).std(dim=(2, 3, 4)).max() < 1e-4  # the same everywhere


@pytest.mark.parametrize("shape", [(8, 40, 36), (1, 40, 40), (32, 48, 48), (5, 7, 3)])
@pytest.mark.parametrize("mode", ["accurate", "convexadam", "paper"])
def test_images_of_any_shape_are_registered(shape, mode):
    changes = {"reach": [1, 1, 1, 1], "adam_iterations": [3]} if mode == "paper" else {}
    image = torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(0))
    result = MCBO(mode, changes=changes)(image)
    assert result.shape == (1, 3, *shape)
    assert result.isfinite().all()


@pytest.mark.parametrize("mode", ["accurate", "convexadam"])
@pytest.mark.parametrize("value", [1e9, -1e9])
def test_single_extreme_voxels_hardly_change_the_field(small, registered, mode, value):
    """The displacement at every voxel agrees with that of the clean images to 0.05 voxels."""
    fixed, moving, _ = (volume.clone() for volume in small)
    clean = registered(mode)
    fixed[20, 21, 17] = moving[30, 11, 25] = value
    assert (MCBO(mode)(pair(moving, fixed)) - clean).norm(dim=1).max() < 0.05


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e35])
def test_the_scale_of_the_intensities_does_not_matter(small, scale):
    image = pair(small[1], small[0])[..., :24]
    assert (MCBO()(image * scale) - MCBO()(image)).norm(dim=1).max() < 0.05


def test_reports_its_progress(small):
    calls = []
    solver = MCBO(progress=lambda done, text: calls.append((done, text)))
    solver(pair(small[1], small[0])[..., :24])
    fractions = [done for done, _ in calls]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any("level" in text for _, text in calls)


def test_has_no_parameters_and_accepts_changes():
    assert not list(MCBO().parameters())
    assert MCBO(changes={"levels": [4, 2], "reach": [3, 1]}).settings.levels == (4, 2)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 2, 8, 8, 8), "is constant"),
        (torch.rand(1, 1, 8, 8, 8), "1, 1, 8, 8, 8"),
        (torch.full((1, 2, 8, 8, 8), float("nan")), "contains NaN or infinity"),
    ],
)
def test_refuses_images_that_cannot_be_registered(image, message):
    with pytest.raises(UserError, match=message):
        MCBO()(image)


def test_the_error_names_the_constant_image():
    image = torch.rand(1, 3, 8, 8, 8)
    image[:, 1] = 4
    with pytest.raises(UserError, match=r"moving image 2 is constant \(4 everywhere"):
        MCBO()(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "fast"}, "'fast' is unknown; choose one of accurate"),
        ({"fusion": "max"}, "'max' is unknown; choose one of max_norm"),
        ({"changes": {"lambda": 1}}, "'lambda' is unknown"),
        ({"changes": {"levels": [6, 4], "reach": [4]}}, "same length"),
        ({"changes": {"levels": [3], "reach": [4]}}, "multiples"),
    ],
)
def test_refuses_options_that_do_not_exist(options, message):
    with pytest.raises(UserError, match=message):
        MCBO(**options)


def test_keeps_to_its_memory_limit():
    """The costs of 64^3 cells and 125 candidates take 66 MB, one plane in float32 takes 26 MB."""
    program = (
        "import resource, torch\n"
        "from zoo.solvers.convex import search_field\n"
        "def peak():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "torch.set_num_threads(1)\n"
        "fixed, moving = torch.rand(2, 1, 2, 64, 64, 64)\n"
        "search_field(fixed[..., :9], moving[..., :9], 2, coupling=(0.1,), memory=8 << 20)\n"
        "before = peak()\n"
        "search_field(fixed, moving, 2, coupling=(0.1,), memory=8 << 20)\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30  # MB
