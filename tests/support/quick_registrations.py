"""Registrations of small images that take little time, for tests of what is around them."""

import json

import torch

SETTINGS = {"fluid": "never", "solver_settings": {"adam_iterations": [20, 16]}}
"""Settings of a plan for MCBO without refinement."""
WORDS = [
    word for name, value in SETTINGS.items() for word in ("--set", f"{name}={json.dumps(value)}")
]
"""The same settings for a command."""


def unaligned(*_):
    """Return the identity, 4x4, in place of the alignment of an image and its mirror image."""
    return torch.eye(4, dtype=torch.float64)
