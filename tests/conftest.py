"""What several test modules share."""

import os

import pytest
import torch
from support.grid_cases import ORIENTATIONS
from support.quick_registrations import unaligned

from zoo.hub.own_models import RECORD_VARIABLE
from zoo.synthesis.phantom import placed_grid

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before torch imports Triton: numpy computes for the GPU


@pytest.fixture(autouse=True, scope="session")
def _own_models(tmp_path_factory):
    """Record models that tests train in a file of the tests, also in child processes."""
    os.environ[RECORD_VARIABLE] = str(tmp_path_factory.mktemp("models") / "models.json")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def symmetry_without_search():
    """Compare registered images with their mirror images without aligning these first.

    The result decides about one hint to the user. The search for the alignment takes half of the
    time of a small registration.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.evaluation.symmetry.rigid_alignment", unaligned)
        yield


@pytest.fixture(params=list(ORIENTATIONS))
def grid(request):
    return placed_grid((23, 30, 19), (1.5, 1.0, 2.6), **ORIENTATIONS[request.param])
