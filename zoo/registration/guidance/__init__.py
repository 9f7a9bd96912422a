"""Registration that landmarks or labels steer."""

from typing import Literal

from zoo.datasets.pairs import Pair
from zoo.registration.guidance.held_out import Register
from zoo.registration.guidance.labels import register_with_labels
from zoo.registration.guidance.landmarks import landmark_transform
from zoo.registration.guidance.points import register_with_points
from zoo.registration.result import RegisteredPair

Guide = Literal["points", "labels"]

__all__ = [
    "Guide",
    "landmark_transform",
    "register_guided",
    "register_with_labels",
    "register_with_points",
]


def register_guided(register: Register, pair: Pair, guide: Guide) -> RegisteredPair:
    """Register a pair under a guide; see `register_with_points` and `register_with_labels`."""
    guided = register_with_points if guide == "points" else register_with_labels
    return guided(register, pair)
