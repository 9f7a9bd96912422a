"""What both kinds of guidance share: the registration they steer, and what they leave out."""

from __future__ import annotations

import random
from collections.abc import Callable

from zoo.datasets.pairs import Pair
from zoo.registration.result import RegisteredPair

Register = Callable[[Pair], RegisteredPair]
"""Registers a pair as usual."""

HELD_OUT_SHARE = 5
"""One of so many landmarks or labels is held out."""


def held_out_of(count: int) -> list[int]:
    """Return which of `count` items are held out; equal counts give equal ones."""
    return sorted(random.Random(0).sample(range(count), count // HELD_OUT_SHARE))
