"""The result of registering one pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from zoo.datasets.pairs import Pair
from zoo.evaluation.metrics import Measured, measure
from zoo.geometry import Transform


@dataclass(frozen=True)
class RegisteredPair:
    """A pair with the transform fixed -> moving and, if it was requested, its inverse.

    `seconds` are per stage. `notes` say how the transform was found; result.json and the report
    show them.
    """

    pair: Pair
    transform: Transform
    inverse: Transform | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def measured(self) -> Measured:
        """The figures of the registration, computed once."""
        return measure(self.pair, self.transform, self.inverse)
