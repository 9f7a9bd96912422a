"""The result of registering one pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.evaluation.common_structure import CommonStructure, common_structure
from zoo.evaluation.metrics import Measured, measure
from zoo.evaluation.quality import Verdict, judge
from zoo.geometry import Transform


@dataclass(frozen=True)
class RegisteredPair:
    """A pair with the transform fixed -> moving and, if it was requested, its inverse.

    `seconds` are per stage. `notes` say how the transform was found; result.json and the report
    show them. `uncertainty`, if it was requested, is the standard deviation of the displacement on
    the fixed grid, [X, Y, Z] in mm; see `zoo.registration.uncertainty`.
    """

    pair: Pair
    transform: Transform
    inverse: Transform | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    uncertainty: Tensor | None = None

    @cached_property
    def measured(self) -> Measured:
        """The figures of the registration, computed once."""
        return measure(self.pair, self.transform, self.inverse, self.uncertainty)

    @cached_property
    def structure(self) -> CommonStructure | None:
        """The agreement of the images compared with that of unrelated images, computed once."""
        return common_structure(self.pair, self.transform)

    @cached_property
    def verdict(self) -> Verdict:
        """The quality of the registration, with a sentence for each sign of failure."""
        return judge(
            self.measured.figures,
            self.structure,
            self.notes,
            affine=self.transform.affine,
            voxel_mm=math.prod(self.pair.fixed.grid.spacing) ** (1 / 3),
        )
