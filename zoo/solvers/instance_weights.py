"""Instance optimisation of a network's weights, as published for GradICON networks.

Adam over all weights, batch-norm statistics frozen, on
sim(moving o phi, fixed) + sim(fixed o psi, moving) + lambda GradICON(phi, psi).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zoo.geometry.displacement_maps import PointMap, displacement_in_voxels
from zoo.losses import (
    Similarity,
    consistency_points,
    field_map,
    folded_share,
    gradicon,
    similarity_named,
)
from zoo.solvers.instance import (
    ImagePair,
    Misfit,
    ProgressCallback,
    Refined,
    Step,
    checked,
    settled,
)


def refine_weights(
    network: nn.Module,
    pair: ImagePair,
    *,
    steps: int = 50,
    learning_rate: float = 2e-5,
    similarity: Similarity | str = "lncc",
    regularity: float = 1.5,
    dice_weight: float = 0.0,
    mass: bool = False,
    tolerance: float = 0.0,
    generator: torch.Generator | None = None,
    progress: ProgressCallback | None = None,
) -> Refined:
    """Adapt all weights of `network` to `pair`, predict once more, and give the weights back.

    `network` takes image [1, 2, X, Y, Z] (moving, fixed) and returns a displacement in voxels; the
    similarity is a measure or its name. `generator` (CPU) draws the points of the consistency term.
    Stops early when ten steps gain less than a share `tolerance` of the loss. Whatever happens,
    the network leaves with the weights, the mode and the gradients' flags it came with.
    """
    if isinstance(similarity, str):
        similarity = similarity_named(similarity)
    misfit = Misfit(pair, similarity, dice_weight=dice_weight, mass=mass)
    trace: list[Step] = []
    with _borrowed(network), torch.enable_grad():
        optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate)
        for done in range(steps):
            optimiser.zero_grad()
            trace.append(_backward(network, pair, misfit, regularity, generator, trace))
            optimiser.step()
            if progress is not None:
                progress((done + 1) / steps, str(trace[-1]))
            if settled(trace, tolerance):
                break
        optimiser.zero_grad()
        with torch.no_grad():
            displacement = network(torch.cat([pair.moving, pair.fixed], dim=1))
            reverse = network(torch.cat([pair.fixed, pair.moving], dim=1))
    return Refined(displacement, reverse, trace)


def _backward(
    network: nn.Module,
    pair: ImagePair,
    misfit: Misfit,
    regularity: float,
    generator: torch.Generator | None,
    trace: list[Step],
) -> Step:
    """Add the gradient of the pair's loss to the weights; return what the step costs.

    The misfit is taken back to the displacements first, so that its graph is gone when the
    network's own gradient needs the memory.
    """
    forward, forward_map = _predict(network, pair.moving, pair.fixed)
    reverse, reverse_map = _predict(network, pair.fixed, pair.moving)
    fields = torch.cat([forward, reverse]).detach().requires_grad_()
    loss = misfit(fields)
    (slopes,) = torch.autograd.grad(loss, fields)
    del fields
    points = consistency_points(pair.fixed.shape[2:], generator).to(pair.fixed)
    consistency = gradicon(forward_map, reverse_map, points)
    unlike, inconsistent = float(loss.detach()), float(consistency.detach())
    total = unlike + regularity * inconsistent
    step = checked(Step(total, unlike, inconsistent, folded_share(forward)), trace)
    torch.autograd.backward(
        [forward, reverse, consistency],
        [slopes[:1], slopes[1:], torch.full_like(consistency, regularity)],
    )
    return step


def _predict(network: nn.Module, moving: Tensor, fixed: Tensor) -> tuple[Tensor, PointMap]:
    """Return the displacement [1, 3, X, Y, Z] in voxels, and the map between its voxels.

    A network of several levels has a `map` that composes them; another's field is interpolated.
    """
    map_of = getattr(network, "map", None)
    if map_of is None:
        displacement = network(torch.cat([moving, fixed], dim=1))
        return displacement, field_map(displacement)
    shape = fixed.shape[2:]
    phi: PointMap = map_of(moving, fixed)
    return displacement_in_voxels(phi.on_grid(shape)), phi


@contextmanager
def _borrowed(network: nn.Module) -> Iterator[None]:
    """Lend `network` out in evaluation mode with trainable weights; restore all of it after."""
    state = {name: value.detach().clone() for name, value in network.state_dict().items()}
    modes = {module: module.training for module in network.modules()}
    flags = {weight: weight.requires_grad for weight in network.parameters()}
    try:
        network.eval().requires_grad_(True)
        yield
    finally:
        network.load_state_dict(state)
        for module, training in modes.items():
            module.training = training
        for weight, flag in flags.items():
            weight.requires_grad_(flag)
            weight.grad = None
