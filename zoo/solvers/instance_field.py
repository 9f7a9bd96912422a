"""Instance optimisation of the displacement itself, for the prediction of any model.

Adam optimises a correction of the predicted fields, smoothed by a Gaussian, on a grid of half the
resolution. The loss is that of the published instance optimisation (similarity in both directions,
gradient inverse consistency) plus the roughness of the correction, which keeps the prediction where
the images have no structure.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError
from zoo.geometry.displacement_maps import resize_displacement
from zoo.losses import (
    MINDSSC,
    Similarity,
    consistency_points,
    field_map,
    folded_share,
    gradicon,
    gradient_penalty,
    similarity_named,
)
from zoo.losses.filters import gaussian_taps, separable_filter
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


def refine_field(
    displacement: Tensor,
    pair: ImagePair,
    *,
    reverse: Tensor | None = None,
    steps: int = 50,
    learning_rate: float = 0.1,
    similarity: Similarity | str = "lncc",
    regularity: float | None = None,
    smoothness: float = 1.5,
    stride: int = 2,
    dice_weight: float = 0.0,
    mass: bool = False,
    tolerance: float = 1e-3,
    generator: torch.Generator | None = None,
    progress: ProgressCallback | None = None,
) -> Refined:
    """Refine `displacement` and `reverse`, [1, 3, X, Y, Z] in voxels, for `pair`.

    `displacement` warps moving onto fixed and `reverse` fixed onto moving. Without a reverse field
    the refinement has one direction and no consistency term. It runs on a grid that is `stride`
    times coarser: a step is about `learning_rate` voxels of this grid, the Gaussian that smooths
    the correction has a sigma of `smoothness` of its voxels, and a named similarity takes its
    coarse scale. `regularity` is by default 1.5 for correlations and 0.5 for MIND, whose values are
    smaller. Outside an image its border is repeated. The optimisation stops early when ten steps
    reduce the loss by less than the fraction `tolerance`. `generator` (CPU) draws the points of the
    consistency term; the default is a new one with a fixed seed.
    """
    generator = generator or fixed_generator()
    full = pair.fixed.shape[2:]
    predicted = displacement if reverse is None else torch.cat([displacement, reverse])
    if predicted.shape != (len(predicted), 3, *full) or len(displacement) != 1:
        raise UserError(
            f"the fields to refine have the shape {list(predicted.shape)} together, but each must "
            f"be [1, 3, {full[0]}, {full[1]}, {full[2]}], as the images have {list(full)} voxels"
        )
    coarse = [max(2, round(n / stride)) for n in full]
    measure = (
        similarity_named(similarity, coarse=True) if isinstance(similarity, str) else similarity
    )
    if regularity is None:
        regularity = 0.5 if isinstance(measure, MINDSSC) else 1.5
    misfit = Misfit(
        _resized_pair(pair, coarse),
        measure,
        both=reverse is not None,
        dice_weight=dice_weight,
        mass=mass,
        outside="border",
    )
    start = resize_displacement(predicted.detach(), coarse)
    parameters = torch.zeros_like(start, requires_grad=True)
    optimiser = Adam([parameters], learning_rate)
    trace: list[Step] = []
    with torch.enable_grad():
        for done in range(steps):
            optimiser.zero_grad()
            correction = _smoothed(parameters, smoothness)
            fields = start + correction
            data_term = misfit(fields)
            irregularity = _irregularity(fields, correction, generator)
            loss = data_term + regularity * irregularity
            values = [float(term.detach()) for term in (loss, data_term, irregularity)]
            step = Step(values[0], values[1], values[2], folded_share(fields[:1]))
            trace.append(require_finite(step, done + 1))
            loss.backward()
            optimiser.step()
            if progress is not None:
                progress((done + 1) / steps, str(step))
            if has_converged(trace, tolerance):
                break
    with torch.no_grad():
        refined = predicted + resize_displacement(_smoothed(parameters, smoothness), full)
    return Refined(refined[:1], None if reverse is None else refined[1:], trace)


def _irregularity(fields: Tensor, correction: Tensor, generator: torch.Generator) -> Tensor:
    """Return the roughness of the correction plus, for two fields, their inconsistency."""
    roughness = len(fields) * gradient_penalty(correction)
    if len(fields) == 1:
        return roughness
    points = consistency_points(fields.shape[2:], generator).to(fields)
    return roughness + gradicon(field_map(fields[:1]), field_map(fields[1:]), points)


def _resized_pair(pair: ImagePair, shape: Sequence[int]) -> ImagePair:
    """Resample a pair to `shape`: images linearly, masks and labels by nearest neighbour."""

    def image(x: Tensor) -> Tensor:
        return F.interpolate(x, size=tuple(shape), mode="trilinear", align_corners=False)

    def labels(x: Tensor | None) -> Tensor | None:
        return x if x is None else F.interpolate(x.float(), size=tuple(shape), mode="nearest-exact")

    return ImagePair(
        image(pair.moving),
        image(pair.fixed),
        labels(pair.moving_mask),
        labels(pair.fixed_mask),
        labels(pair.moving_labels),
        labels(pair.fixed_labels),
    )


def _smoothed(field: Tensor, sigma: float) -> Tensor:
    """Smooth a field by a Gaussian of `sigma` voxels; the border is repeated."""
    if sigma <= 0:
        return field
    taps = gaussian_taps(sigma, 2 * int(3 * sigma) + 1)
    return separable_filter(field, [taps] * 3, edge="replicate")
