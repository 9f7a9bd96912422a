"""What steers the MCBO solver, and its presets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import prod
from typing import Any, Literal, get_args

from zoo.errors import UserError
from zoo.geometry.sampling import Outside
from zoo.solvers.convex import COUPLING

Mode = Literal["accurate", "paper", "convexadam"]

_REFINEMENTS = "adam_"  # what starts like this has a value for each refinement
_AT_LEAST_ONE = (
    *("levels", "reach", "mind_dilation", "smoothing"),
    *("adam_strides", "adam_features", "adam_shares"),
)
_CELLS = 8  # a level is left out of the weighted sum where an axis has fewer cells than this
_FIRST_ITERATIONS = 40  # of the refinement that comes first on a large grid


@dataclass(frozen=True)
class Settings:
    """Everything that steers the solver; the presets are below."""

    levels: tuple[int, ...]  # stride of each level in voxels, in the order they are worked
    reach: tuple[int, ...]  # how far each level searches on either side, in its cells
    weights: tuple[float, ...] | None  # of the levels' sum; None: each level refines the last
    average: bool = True  # mean of the convex iterates (MCBO) or the last one (ConvexAdam)
    coupling: tuple[float, ...] = COUPLING  # growing weight of smoothness, in cells
    consistency: int = 15  # iterations that make forward and backward field consistent
    mind_radius: int = 1  # half width of the compared patches, in voxels
    mind_dilation: int = 2  # distance of the compared patches, in voxels
    mind_noise: float = 0.0  # what differs by less than so many times the noise is no structure
    adam_strides: tuple[int, ...] = (2,)  # cells of the refinements, in voxels, coarse to fine
    adam_features: tuple[int, ...] = (2,)  # stride of the features they compare, in voxels
    adam_shares: tuple[int, ...] = (1,)  # into how many turns the channels are divided
    adam_iterations: tuple[int, ...] = (80,)  # how many steps each takes
    adam_rates: tuple[float, ...] = (1.0,)  # their first step, in cells
    adam_last_rates: tuple[float, ...] = (1.0,)  # their last step, in cells
    adam_diffusions: tuple[float, ...] = (1.25,)  # weight of the squared first differences
    adam_bendings: tuple[float, ...] = (0.0,)  # weight of the squared second differences
    large: int = 0  # above so many voxels a coarser refinement comes first, the others are stiffer
    smoothing: int = 3  # how many times Adam's free weights are averaged over 3^3 cells
    smooth: int = 0  # half width of the box that ends level 1, applied three times, in voxels
    outside: Outside = "zeros"  # what lies beyond the moving features
    published: bool = False  # repeat the faults of scale and cells of ConvexAdam 0.2.0

    def __post_init__(self) -> None:
        for group in (
            ("levels", "reach", *(["weights"] if self.weights is not None else [])),
            tuple(name for name in vars(self) if name.startswith(_REFINEMENTS)),
        ):
            values = {name: getattr(self, name) for name in group}
            if len({len(value) for value in values.values()}) > 1:
                given = ", ".join(f"{name} {value}" for name, value in values.items())
                raise UserError(f"the settings {given} must have the same length")
        multiples = self.adam_strides + (self.levels if self.weights is None else ())
        if any(stride % self.base for stride in multiples):
            raise UserError(
                f"the levels {self.levels} of a cascade and adam_strides {self.adam_strides} must "
                f"be multiples of the last of these, {self.base}"
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
        """Stride of the finest refinement, on whose grid a cascade is worked."""
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


def changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return the settings with some of them replaced; lists, as JSON has them, become tuples."""
    known = [field.name for field in fields(Settings)]
    plain: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in known:
            raise UserError(f"setting {name!r} is not known; choose one of {', '.join(known)}")
        plain[name] = tuple(value) if isinstance(value, list) else value
        if not _fits(name, plain[name], getattr(settings, name)):
            example = json.dumps(getattr(settings, name))
            raise UserError(f"the setting {name} is {value!r}; give such as {example}")
    return replace(settings, **plain)


def _fits(name: str, value: Any, present: Any) -> bool:
    """Say whether a value is of the kind that a setting has, and large enough to work with."""
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


def for_shape(settings: Settings, shape: Sequence[int]) -> Settings:
    """Return the settings for a working grid of `shape`."""
    if settings.large and prod(shape) > settings.large:
        settings = _for_large(settings, (prod(shape) / settings.large) ** (2 / 3))
    return settings if settings.weights is None else _without_short_levels(settings, shape)


def _for_large(settings: Settings, stiffer: float) -> Settings:
    """Let a refinement on cells twice as large come first, and make those after it stiffer.

    A body on a grid twice as fine shows the same deformation in twice as many cells, and noise that
    is no less in each.
    """
    stages: dict[str, Any] = {k: v for k, v in vars(settings).items() if k.startswith(_REFINEMENTS)}
    first = {name: values[0] for name, values in stages.items()}
    first["adam_strides"] *= 2
    first["adam_iterations"] = _FIRST_ITERATIONS
    stages["adam_bendings"] = [stiffer * weight for weight in settings.adam_bendings]
    changed: dict[str, Any] = {name: (first[name], *stages[name]) for name in stages}
    return replace(settings, **changed)


def _without_short_levels(settings: Settings, shape: Sequence[int]) -> Settings:
    """Drop the levels of a weighted sum that leave the shortest axis only a few cells.

    The others then weigh the same, as MCBO's did for images of 32 x 256 x 256 voxels.
    """
    kept = [
        (n, reach)
        for n, reach in zip(settings.levels, settings.reach, strict=True)
        if n * _CELLS <= min(shape) or n == min(settings.levels)
    ]
    if len(kept) == len(settings.levels):
        return settings
    levels, reaches = zip(*kept, strict=True)
    weights = (1 / len(kept),) * len(kept)
    return replace(settings, levels=levels, reach=reaches, weights=weights)
