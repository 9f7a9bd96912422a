"""What several test modules share."""

import pytest
import torch
from support.grid_cases import ORIENTATIONS

from zoo.synthesis.phantom import placed_grid


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(params=list(ORIENTATIONS))
def grid(request):
    return placed_grid((23, 30, 19), (1.5, 1.0, 2.6), **ORIENTATIONS[request.param])
