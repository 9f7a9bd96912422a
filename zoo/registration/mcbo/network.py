"""The prediction of a compact network, from which the fluid refinement may start as well."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError
from zoo.hub.catalogue import find_model
from zoo.hub.weights import find_weights
from zoo.registration.axis_order import ITK_ORDER, reordered, restored
from zoo.registration.intensity import GradICONIntensity
from zoo.registration.weights import SelectedWeights
from zoo.registration.working_pair import WorkingPair
from zoo.solvers.fluid import unfold

MODEL, VARIANT = "multigradicon", "compact"


def has_weights() -> bool:
    """Return whether the weights of the network are on this computer."""
    try:
        find_weights(MODEL, VARIANT)
    except UserError:
        return False
    return True


def weights_record() -> dict[str, Any]:
    """Return what result.json reports about the network: its model and its weights."""
    return {"model": MODEL} | SelectedWeights(MODEL, VARIANT).record()


@torch.no_grad()
def predicted(work: WorkingPair) -> Tensor:
    """Return the displacement that the network predicts, [1, 3, X, Y, Z] in voxels, unfolded.

    `work` has one moving image. The network works on its own grid, which covers the same field of
    view.
    """
    weights = SelectedWeights(MODEL, VARIANT)
    architecture = find_model(MODEL).architecture
    assert architecture is not None, f"{MODEL} is a network"
    network = weights.load_into(architecture.build(weights.width(1))).to(work.image.device)
    intensity = GradICONIntensity()
    image = torch.stack([intensity(channel) for channel in work.image[0]])[None]
    image = reordered(image, ITK_ORDER)
    size = getattr(network, "size", None)  # the grid that the weights were trained on
    averaged = image if size is None else F.adaptive_avg_pool3d(image, size)
    return unfold(restored(network(averaged, image.shape[2:]), ITK_ORDER))[0]
