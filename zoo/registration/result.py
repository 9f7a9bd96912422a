"""What came out of registering one pair."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from zoo.datasets.pairs import Pair
from zoo.evaluation.metrics import Measured, measure
from zoo.geometry import Transform


@dataclass(frozen=True)
class RegisteredPair:
    """The map fixed -> moving of a pair, its inverse when asked for, and how it was found.

    `seconds` are per stage; `notes` are in words, for the report and result.json.
    """

    pair: Pair
    transform: Transform
    inverse: Transform | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def measured(self) -> Measured:
        """The figures, found once for all who ask."""
        return measure(self.pair, self.transform, self.inverse)
