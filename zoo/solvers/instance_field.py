"""Instance optimisation of the displacement itself: cheap, and for any model's prediction.

Adam on a correction of the predicted fields, on a grid of half the resolution, smoothed by a
Gaussian. The loss is that of the published instance optimisation (similarity both ways, gradient
inverse consistency) plus the roughness of the correction, which keeps the prediction where the
images say nothing.
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
    ImagePair,
    Misfit,
    ProgressCallback,
    Refined,
    Step,
    checked,
    settled,
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
    """Improve `displacement` [1, 3, X, Y, Z], voxels, and with it `reverse`, for `pair`.

    `displacement` warps moving onto fixed and `reverse` fixed onto moving; without a reverse field
    the refinement goes one way, with no consistency to keep. It works on a grid `stride` times
    coarser: a step is about `learning_rate` voxels of it, the Gaussian that smooths the correction
    has a sigma of `smoothness` of them, and a named similarity is taken at its scale (1.5 is the
    `regularity` for correlations, 0.5 for the smaller values of MIND). Where the map leaves an
    image, the image's border is repeated. Stops early when ten steps gain less than a share
    `tolerance` of the loss. `generator` (CPU) draws the points of the consistency term.
    """
    full = pair.fixed.shape[2:]
    predicted = displacement if reverse is None else torch.cat([displacement, reverse])
    if predicted.shape != (len(predicted), 3, *full) or len(displacement) != 1:
        raise UserError(
            f"the fields to refine have the shape {list(predicted.shape)} together; on images of"
            f" {list(full)} voxels each is [1, 3, {full[0]}, {full[1]}, {full[2]}]"
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
    optimiser = torch.optim.Adam([parameters], lr=learning_rate)
    trace: list[Step] = []
    with torch.enable_grad():
        for done in range(steps):
            optimiser.zero_grad()
            correction = _smoothed(parameters, smoothness)
            fields = start + correction
            unlike = misfit(fields)
            rough = _irregularity(fields, correction, generator)
            loss = unlike + regularity * rough
            values = [float(term.detach()) for term in (loss, unlike, rough)]
            step = Step(values[0], values[1], values[2], folded_share(fields[:1]))
            trace.append(checked(step, trace))
            loss.backward()
            optimiser.step()
            if progress is not None:
                progress((done + 1) / steps, str(step))
            if settled(trace, tolerance):
                break
    with torch.no_grad():
        refined = predicted + resize_displacement(_smoothed(parameters, smoothness), full)
    return Refined(refined[:1], None if reverse is None else refined[1:], trace)


def _irregularity(fields: Tensor, correction: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return the roughness of the correction, plus the inconsistency of fields that are two."""
    rough = len(fields) * gradient_penalty(correction)
    if len(fields) == 1:
        return rough
    points = consistency_points(fields.shape[2:], generator).to(fields)
    return rough + gradicon(field_map(fields[:1]), field_map(fields[1:]), points)


def _resized_pair(pair: ImagePair, shape: Sequence[int]) -> ImagePair:
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
    """Smooth a field by a Gaussian of `sigma` voxels, the border repeated."""
    if sigma <= 0:
        return field
    taps = gaussian_taps(sigma, 2 * int(3 * sigma) + 1)
    return separable_filter(field, [taps] * 3, edge="replicate")
