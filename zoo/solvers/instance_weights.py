"""Instance optimisation of a network's weights, as published for GradICON networks.

Adam optimises all weights, with fixed batch-norm statistics, for the loss
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
    Adam,
    ImagePair,
    Misfit,
    ProgressCallback,
    Refined,
    Step,
    fixed_generator,
    has_converged,
    require_finite,
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
    """Optimise all weights of `network` for `pair`, predict again and restore the weights.

    `network` takes an image [1, 2, X, Y, Z] (moving, fixed) and returns a displacement in voxels.
    `similarity` is a measure or its name. `generator` (CPU) draws the points of the consistency
    term; the default is a new one with a fixed seed. The optimisation stops early when ten steps
    reduce the loss by less than the fraction `tolerance`. The weights, the mode and the
    `requires_grad` flags of the network are restored in any case, also after an error.
    """
    generator = generator or fixed_generator()
    if isinstance(similarity, str):
        similarity = similarity_named(similarity)
    misfit = Misfit(pair, similarity, dice_weight=dice_weight, mass=mass)
    trace: list[Step] = []
    with _temporarily_trainable(network), torch.enable_grad():
        optimiser = Adam(network.parameters(), learning_rate)
        for done in range(steps):
            optimiser.zero_grad()
            step = _backward(network, pair, misfit, regularity, generator)
            trace.append(require_finite(step, done + 1))
            optimiser.step()
            if progress is not None:
                progress((done + 1) / steps, str(trace[-1]))
            if has_converged(trace, tolerance):
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
    generator: torch.Generator,
) -> Step:
    """Add the gradient of the pair's loss to the weights and return the losses.

    The data term is differentiated with respect to the displacements first, so that its graph is
    freed before the gradient of the network needs the memory.
    """
    forward, forward_map = _predict(network, pair.moving, pair.fixed)
    reverse, reverse_map = _predict(network, pair.fixed, pair.moving)
    fields = torch.cat([forward, reverse]).detach().requires_grad_()
    loss = misfit(fields)
    (slopes,) = torch.autograd.grad(loss, fields)
    del fields
    points = consistency_points(pair.fixed.shape[2:], generator).to(pair.fixed)
    consistency = gradicon(forward_map, reverse_map, points)
    values = float(loss.detach()), float(consistency.detach())
    step = Step(values[0] + regularity * values[1], *values, folded_share(forward))
    torch.autograd.backward(
        [forward, reverse, consistency],
        [slopes[:1], slopes[1:], torch.full_like(consistency, regularity)],
    )
    return step


def _predict(network: nn.Module, moving: Tensor, fixed: Tensor) -> tuple[Tensor, PointMap]:
    """Return the displacement [1, 3, X, Y, Z] in voxels, and the map that continues it.

    A GradICON network has a `map` that composes its steps; other fields are interpolated.
    """
    predict_map = getattr(network, "map", None)
    if predict_map is None:
        displacement = network(torch.cat([moving, fixed], dim=1))
        return displacement, field_map(displacement)
    shape = fixed.shape[2:]
    phi: PointMap = predict_map(moving, fixed)
    return displacement_in_voxels(phi.on_grid(shape)), phi


@contextmanager
def _temporarily_trainable(network: nn.Module) -> Iterator[None]:
    """Set `network` to evaluation mode with trainable weights, and restore its state afterwards."""
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
