"""The settings for the shape of a working grid."""

from dataclasses import replace

import pytest
import torch

from zoo.errors import UserError
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import ACCURATE, CONVEXADAM, PAPER, settings_for_shape


@pytest.mark.parametrize("settings", [ACCURATE, CONVEXADAM, PAPER])
def test_a_brain_of_one_millimetre_gets_the_unchanged_preset(settings):
    assert settings_for_shape(settings, (162, 214, 167)) == settings


@pytest.mark.parametrize("settings", [CONVEXADAM, PAPER])
def test_only_accurate_depends_on_the_number_of_voxels(settings):
    assert settings_for_shape(settings, (512, 512, 512)) == settings


def test_a_large_grid_gets_coarse_cells_first_and_a_larger_weight_of_bending():
    result = settings_for_shape(replace(ACCURATE, large=100**3), (200, 400, 100))
    assert result.adam_strides == (8, 4, 2)
    assert result.adam_features == (4, 4, 1)
    # With twice as many cells per side, the second difference of the same deformation, in cells,
    # is half as large and its square a quarter.
    assert result.adam_bendings == pytest.approx((4.0, 16.0, 12.0))
    assert result.levels == ACCURATE.levels


def test_changed_settings_are_kept_on_a_large_grid():
    changes = {"adam_bendings": (1.0,), "adam_strides": (2,), "adam_features": (1,)}
    one = {name: (value[0],) for name, value in vars(ACCURATE).items() if name.startswith("adam_")}
    result = settings_for_shape(replace(ACCURATE, large=1, **{**one, **changes}), (4, 4, 4))
    assert result.adam_strides == (4, 2)
    assert result.adam_bendings == pytest.approx((1.0, 16.0))
    assert result.adam_shares == (1, 1)


def test_short_axes_lose_the_coarse_levels_of_a_sum():
    result = settings_for_shape(PAPER, (32, 256, 256))
    assert result.levels == (1, 2, 4)
    assert result.weights == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("shape", [(24, 20, 28), (8, 40, 36), (5, 7, 3)])
def test_large_grids_of_any_shape_are_registered(shape):
    image = torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(0))
    result = MCBO(changes={"large": 1, "adam_bendings": [0.0, 0.0]})(image)
    assert result.shape == (1, 3, *shape)
    assert result.isfinite().all()


@pytest.mark.parametrize(
    "changes",
    [
        {"adam_iterations": 20},
        {"adam_features": [0, 1]},
        {"mind_radius": "a"},
        {"levels": [], "reach": []},
        {"outside": "mirror"},
        {"average": 1},
        {"weights": "all"},
    ],
)
def test_a_mistyped_setting_is_refused_with_an_example(changes):
    name = next(iter(changes))
    with pytest.raises(
        UserError, match=f"the setting {name} has the invalid value .+; give for example"
    ):
        MCBO(changes=changes)


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="adam_strides"):
        MCBO(changes={"adam_stride": [4, 2]})
