"""Settings of the MCBO solver, and its presets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any, Literal, get_args

from zoo.errors import UserError
from zoo.geometry.sampling import Outside
from zoo.solvers.convex import COUPLING

Mode = Literal["accurate", "paper", "convexadam"]

_REFINEMENTS = "adam_"  # prefix of the settings that have a value for each refinement
_AT_LEAST_ONE = (
    *("levels", "reach", "mind_dilation", "smoothing"),
    *("adam_strides", "adam_features", "adam_shares"),
)
_FEWEST_CELLS = 8  # along the shortest axis, for a level of the weighted sum
_FIRST_ITERATIONS = 40  # of the additional first refinement of a large grid


@dataclass(frozen=True)
class Settings:
    """All settings of the solver; the presets are below."""

    levels: tuple[int, ...]  # stride of each level in voxels, in order
    reach: tuple[int, ...]  # search range of each level on either side, in its cells
    weights: tuple[float, ...] | None  # of the sum of levels; None for a cascade of levels
    average: bool = True  # mean of the convex iterates (MCBO), or the last one (ConvexAdam)
    coupling: tuple[float, ...] = COUPLING  # increasing weights of smoothness
    consistency: int = 15  # iterations of inverse consistency
    mind_radius: int = 1  # half width of the compared patches, in voxels
    mind_dilation: int = 2  # distance of the compared patches, in voxels
    mind_noise: float = 0.0  # multiple of the noise below which differences are ignored
    adam_strides: tuple[int, ...] = (2,)  # cells of each refinement, in voxels, coarse to fine
    adam_features: tuple[int, ...] = (2,)  # stride of the compared features, in voxels
    adam_shares: tuple[int, ...] = (1,)  # groups of channels, compared in turn
    adam_iterations: tuple[int, ...] = (80,)  # steps
    adam_rates: tuple[float, ...] = (1.0,)  # first step size, in cells
    adam_last_rates: tuple[float, ...] = (1.0,)  # last step size, in cells
    adam_diffusions: tuple[float, ...] = (1.25,)  # weight of the squared first differences
    adam_bendings: tuple[float, ...] = (0.0,)  # weight of the squared second differences
    large: int = 0  # number of voxels above which a grid gets one more, coarser refinement
    smoothing: int = 3  # times that Adam's free weights are averaged over 3^3 cells
    smooth: int = 0  # half width of the final box filter of level 1, applied three times, in voxels
    outside: Outside = "zeros"  # values of the moving features outside their grid
    published: bool = False  # reproduce the errors of ConvexAdam 0.2.0 in scales and cells

    def __post_init__(self) -> None:
        for group in (
            ("levels", "reach", *(["weights"] if self.weights is not None else [])),
            tuple(name for name in vars(self) if name.startswith(_REFINEMENTS)),
        ):
            values = {name: getattr(self, name) for name in group}
            if len({len(value) for value in values.values()}) > 1:
                given = ", ".join(f"{name} {value}" for name, value in values.items())
                raise UserError(f"these settings must have the same length: {given}")
        multiples = self.adam_strides + (self.levels if self.weights is None else ())
        if any(stride % self.base for stride in multiples):
            raise UserError(
                f"the levels {self.levels} of a cascade and adam_strides {self.adam_strides} must "
                f"be multiples of the last of adam_strides, {self.base}"
            )
        if any(
            stride % detail
            for stride, detail in zip(self.adam_strides, self.adam_features, strict=True)
        ):
            raise UserError(
                f"adam_strides {self.adam_strides} must be multiples of adam_features "
                f"{self.adam_features}"
            )

    @property
    def base(self) -> int:
        """Stride of the finest refinement, whose grid a cascade works on."""
        return self.adam_strides[-1]


CONVEXADAM = Settings(levels=(6,), reach=(4,), weights=None, average=False)

PAPER = Settings(
    levels=(1, 2, 4, 6),
    reach=(4, 4, 4, 4),
    weights=(0.10, 0.27, 0.27, 0.36),
    adam_iterations=(15,),
    smooth=2,
)

ACCURATE = Settings(
    levels=(6,),
    reach=(4,),
    weights=None,
    mind_dilation=1,
    mind_noise=4.0,
    adam_strides=(4, 2),
    adam_features=(4, 1),
    adam_shares=(1, 2),
    adam_iterations=(60, 48),
    adam_rates=(1.0, 0.5),
    adam_last_rates=(0.1, 0.03),
    adam_diffusions=(0.0, 0.0),
    adam_bendings=(4.0, 3.0),
    large=9_000_000,
    smoothing=1,
    outside="border",
)

PRESETS: dict[Mode, Settings] = {"accurate": ACCURATE, "paper": PAPER, "convexadam": CONVEXADAM}


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return the settings with some values replaced; lists, as in JSON, become tuples."""
    known = [field.name for field in fields(Settings)]
    plain: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            raise UserError(f"setting {name!r} is unknown; choose one of {', '.join(known)}")
        plain[name] = tuple(value) if isinstance(value, list) else value
        if not _fits(name, plain[name], getattr(settings, name)):
            example = json.dumps(getattr(settings, name))
            raise UserError(
                f"the setting {name} has the invalid value {value!r}; give for example {example}"
            )
    return replace(settings, **plain)


def _fits(name: str, value: Any, present: Any) -> bool:
    """Return whether a value has the type of the `present` value of a setting and is in range."""
    if name == "outside":
        return value in get_args(Outside)
    if isinstance(present, bool):
        return isinstance(value, bool)
    if name == "weights" and value is None:
        return True
    if name == "weights" or isinstance(present, tuple):
        least = 1 if name in _AT_LEAST_ONE else 0
        return isinstance(value, tuple) and len(value) > 0 and all(_number(v, least) for v in value)
    return _number(value, 1 if name in _AT_LEAST_ONE else 0)


def _number(value: Any, least: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least


def settings_for_shape(settings: Settings, shape: Sequence[int]) -> Settings:
    """Return the settings for a working grid of `shape`."""
    if settings.large and prod(shape) > settings.large:
        settings = _for_large(settings, (prod(shape) / settings.large) ** (2 / 3))
    return settings if settings.weights is None else _without_short_levels(settings, shape)


def _for_large(settings: Settings, stiffer: float) -> Settings:
    """Add a first refinement on cells twice as large and increase the bending of the others.

    On a grid twice as fine, the same deformation extends over twice as many cells, but each cell
    has as much noise.
    """
    stages: dict[str, Any] = {k: v for k, v in vars(settings).items() if k.startswith(_REFINEMENTS)}
    first = {name: values[0] for name, values in stages.items()}
    first["adam_strides"] *= 2
    first["adam_iterations"] = _FIRST_ITERATIONS
    stages["adam_bendings"] = [stiffer * weight for weight in settings.adam_bendings]
    changes: dict[str, Any] = {name: (first[name], *stages[name]) for name in stages}
    return replace(settings, **changes)


def _without_short_levels(settings: Settings, shape: Sequence[int]) -> Settings:
    """Drop the levels of a weighted sum in which the shortest axis has only a few cells.

    The remaining levels have equal weights, as MCBO has for images of 32 x 256 x 256 voxels.
    """
    kept = [
        (n, reach)
        for n, reach in zip(settings.levels, settings.reach, strict=True)
        if n * _FEWEST_CELLS <= min(shape) or n == min(settings.levels)
    ]
    if len(kept) == len(settings.levels):
        return settings
    levels, reaches = zip(*kept, strict=True)
    weights = (1 / len(kept),) * len(kept)
    return replace(settings, levels=levels, reach=reaches, weights=weights)
