"""Registration that landmarks steer."""

from zoo.registration.guidance.guided import Guide, register_guided
from zoo.registration.guidance.landmarks import landmark_transform

__all__ = ["Guide", "landmark_transform", "register_guided"]
