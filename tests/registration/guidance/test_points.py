"""Guided registration: the composition, the held-out landmarks, and what it gains on a phantom."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support.io_cases import max_distance

from zoo import UserError
from zoo.datasets.pairs import Pair
from zoo.geometry import Transform, folding_percent, jacobian_determinant
from zoo.hub.bundles import bundle_folder
from zoo.io.volume import Volume
from zoo.registration.guidance import register_with_points
from zoo.registration.result import RegisteredPair
from zoo.runtime.registrar import open_registrar
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def phantom():
    """A phantom of two contrasts on unequal oblique grids, and the landmarks that are not given."""
    made = make_pair(
        2,
        shape=(34, 30, 28),
        spacing=(4, 4, 4.5),
        axes="LPS",
        tilt_degrees=12,
        contrasts=("t1", "t2"),
        moving_shape=(30, 32, 36),
        moving_axes="SAR",
    )
    steering = torch.randperm(len(made.fixed_points), generator=torch.Generator().manual_seed(0))[
        :25
    ]
    rest = torch.ones(len(made.fixed_points), dtype=torch.bool)
    rest[steering] = False
    pair = Pair(
        "phantom",
        Volume(made.fixed, made.fixed_grid, Path("fixed.nii")),
        (Volume(made.moving, made.moving_grid, Path("moving.nii")),),
        fixed_points=made.fixed_points[steering],
        moving_points=made.moving_points[steering],
    )
    return pair, made.fixed_points[rest], made.moving_points[rest]


def unmoved(pair):
    """Register nothing, as if the images were aligned."""
    return RegisteredPair(pair, Transform.identity(), Transform.identity(), notes={"x": 1})


def test_without_a_registration_the_landmarks_alone_align(phantom):
    pair, fixed, moving = phantom
    seen = []

    def register(given):
        seen.append(given)
        return unmoved(given)

    found = register_with_points(register, pair)
    assert seen[0].moving[0].grid.same_as(pair.fixed.grid)
    assert seen[0].fixed_points is None
    before = (fixed - moving).norm(dim=1).mean()
    assert (found.transform.map_points(fixed) - moving).norm(dim=1).mean() < 0.4 * before
    back = found.inverse.map_points(found.transform.map_points(fixed))
    assert max_distance(back, fixed) < 1
    assert found.notes["x"] == 1


def test_the_landmarks_that_are_held_out_are_measured_and_do_not_steer(phantom):
    pair, _, _ = phantom
    found = register_with_points(unmoved, pair)
    record = found.notes["guide"]
    assert (record["guiding"], record["held_out"]) == (20, 5)
    assert len(found.pair.fixed_points) == 5
    error = (found.transform.map_points(found.pair.fixed_points) - found.pair.moving_points).norm(
        dim=1
    )
    assert record["held_out_error_mm_after"] == pytest.approx(float(error.mean()))
    # Moving a landmark that is held out changes its error and not the transform.
    is_held = (pair.fixed_points[:, None] == found.pair.fixed_points).all(dim=2).any(dim=1)
    others = pair.moving_points + 50 * is_held[:, None]
    again = register_with_points(unmoved, replace(pair, moving_points=others))
    assert torch.equal(again.transform.field, found.transform.field)
    assert again.notes["guide"]["held_out_error_mm_after"] > 40


def test_landmarks_improve_a_registration_where_they_were_not_given(phantom):
    pair, fixed, moving = phantom
    bundle = bundle_folder("mcbo")
    overrides = {
        "bar": False,
        "pairs": [],
        "handlers": [],
        "output_dir": "unused",
        "bundle_root": str(bundle.absolute()),
        "device": "$torch.device('cpu')",
    }
    with open_registrar(bundle, overrides, settings={}) as registrar:
        free = registrar.register(pair)
        guided = register_with_points(registrar.register, pair)
    errors = [
        float((r.transform.map_points(fixed) - moving).norm(dim=1).mean()) for r in (free, guided)
    ]
    assert errors[1] < 0.8 * errors[0]
    determinant = jacobian_determinant(guided.transform, pair.fixed.grid)
    assert folding_percent(determinant) < 0.1
    assert guided.notes["search_limit_mm"] > free.notes["search_limit_mm"]


def test_landmarks_in_another_order_and_missing_ones_are_refused(phantom):
    pair, _, _ = phantom
    shuffled = replace(pair, moving_points=pair.moving_points.flip(0))
    with pytest.raises(UserError, match=r"contradict each other.*same order"):
        register_with_points(unmoved, shuffled)
    with pytest.raises(UserError, match="add --fixed-points and --moving-points"):
        register_with_points(unmoved, replace(pair, moving_points=None))
    many = torch.rand(1001, 3, dtype=torch.float64)
    with pytest.raises(UserError, match="at most 1000 landmarks"):
        register_with_points(unmoved, replace(pair, fixed_points=many, moving_points=many))
