"""Instance optimisation of the displacement itself: cheap, and for any model's prediction.

Adam on a correction of the predicted fields, on a grid of half the resolution, smoothed by a
Gaussian. The loss is the one of the published instance optimisation: the similarity both ways and
the gradient inverse consistency of the corrected fields. What the network learned stays in the
prediction that is corrected; the smoothing takes the place of its weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import UserError
from zoo.losses import (
    LNCC,
    Similarity,
    consistency_points,
    field_map,
    folded_share,
    gradicon,
    gradient_penalty,
)
from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.solvers.instance import Misfit, Pair, Progress, Refined, Step, checked, settled


def refine_field(
    displacement: Tensor,
    pair: Pair,
    *,
    reverse: Tensor | None = None,
    steps: int = 50,
    learning_rate: float = 0.2,
    similarity: Similarity | None = None,
    regularity: float = 1.5,
    smoothness: float = 1.5,
    stride: int = 2,
    dice_weight: float = 0.0,
    mass: bool = False,
    tolerance: float = 1e-3,
    generator: torch.Generator | None = None,
    progress: Progress | None = None,
) -> Refined:
    """Improve `displacement` [1, 3, X, Y, Z], voxels, and with it `reverse`, for `pair`.

    `displacement` warps moving onto fixed and `reverse` fixed onto moving. With both, `regularity`
    weighs their gradient inverse consistency; without a reverse field it weighs the roughness of
    the correction. Steps are about `learning_rate` voxels of a grid `stride` times coarser, on
    which the correction is smoothed by a Gaussian of `smoothness` voxels. The similarity (LNCC of
    3 coarse voxels unless told) is that of the coarse images. Stops early when five steps gain
    less than a share `tolerance` of the loss.
    """
    full = pair.fixed.shape[2:]
    coarse = [max(2, round(n / stride)) for n in full]
    predicted = displacement if reverse is None else torch.cat([displacement, reverse])
    if predicted.shape != (len(predicted), 3, *full):
        raise UserError(
            f"the fields to refine have the shape {list(predicted.shape)}; the images"
            f" {list(full)} need [1, 3, *shape] each"
        )
    misfit = Misfit(
        _resized_pair(pair, coarse),
        similarity or LNCC(3),
        both=reverse is not None,
        dice_weight=dice_weight,
        mass=mass,
    )
    start = resize_field(predicted.detach(), coarse)
    parameters = torch.zeros_like(start, requires_grad=True)
    optimiser = torch.optim.Adam([parameters], lr=learning_rate)
    trace: list[Step] = []
    with torch.enable_grad():
        for done in range(steps):
            optimiser.zero_grad()
            correction = _smoothed(parameters, smoothness)
            fields = start + correction
            unlike = misfit(fields)
            if reverse is None:
                rough = gradient_penalty(correction)
            else:
                points = consistency_points(coarse, generator).to(fields)
                rough = gradicon(field_map(fields[:1]), field_map(fields[1:]), points)
            loss = unlike + regularity * rough
            values = [float(term.detach()) for term in (loss, unlike, rough)]
            trace.append(checked(Step(*values, folded_share(fields[:1])), trace))
            loss.backward()
            optimiser.step()
            if progress is not None:
                progress((done + 1) / steps, str(trace[-1]))
            if settled(trace, tolerance):
                break
    with torch.no_grad():
        refined = predicted + resize_field(_smoothed(parameters, smoothness), full)
    return Refined(refined[:1], None if reverse is None else refined[1:], trace)


def resize_field(field: Tensor, shape: Sequence[int]) -> Tensor:
    """Bring a displacement [B, 3, X, Y, Z] in voxels to a grid of `shape` over the same view."""
    scale = [new / old for new, old in zip(shape, field.shape[2:], strict=True)]
    resized = F.interpolate(field, size=tuple(shape), mode="trilinear", align_corners=False)
    return resized * torch.tensor(scale).to(field).view(1, 3, 1, 1, 1)


def _resized_pair(pair: Pair, shape: Sequence[int]) -> Pair:
    def image(x: Tensor) -> Tensor:
        return F.interpolate(x, size=tuple(shape), mode="trilinear", align_corners=False)

    def labels(x: Tensor | None) -> Tensor | None:
        return x if x is None else F.interpolate(x.float(), size=tuple(shape), mode="nearest")

    return Pair(
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
