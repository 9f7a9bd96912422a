"""One level of UniReg's pyramid: a single pass, and passes that repeat while they gain."""

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample
from zoo.networks.unireg_blocks import Decoder, Kernels

MAX_PASSES = 10
MIN_GAIN = 0.005


def advance(
    decoder: Decoder, flow: Tensor, moving: Tensor, fixed: Tensor, condition: Tensor
) -> tuple[Tensor, Kernels]:
    """Run a level once: warp the moving features, estimate the residual flow and compose both.

    Returns the composed flow [B, 3, X, Y, Z] in voxels of the level, in which the residual d acts
    first: `new(i) = d(i) + flow(i + d(i))`. Also returns the kernels of the generated flow head.
    """
    warped = sample(moving.to(flow.dtype), displaced_index(flow))
    del moving  # the features are the widest tensors of the network and are freed early
    x = decoder(warped, fixed)
    del warped, fixed
    kernels = decoder.dynamic_flow.kernels(x, condition)
    residual = decoder.dynamic_flow(x, kernels).to(flow.dtype)
    return sample(flow, displaced_index(residual)) + residual, kernels


def advance_while_gaining(
    decoder: Decoder,
    flow: Tensor,
    moving: Tensor,
    fixed: Tensor,
    condition: Tensor,
    image: Tensor,
) -> tuple[Tensor, Kernels, Tensor]:
    """Repeat a level until a pass gains less than `MIN_GAIN`, and discard that pass.

    The gain of a pass is that of `image_correlation` over the flow from which the pass started, so
    a level that does not help a pair leaves its flow unchanged. Each sample stops independently.
    Also returns the kernels of the first pass and the number of passes that were kept, [B].
    """
    reached = image_correlation(image, flow)
    passes = torch.zeros(len(flow), dtype=torch.long, device=flow.device)
    active = torch.arange(len(flow), device=flow.device)
    first: Kernels | None = None
    while len(active) and int(passes.max()) < MAX_PASSES:
        inputs = (part[active] for part in (flow, moving, fixed, condition))
        candidate, kernels = advance(decoder, *inputs)
        first = first or kernels
        score = image_correlation(image[active], candidate)
        gained = score - reached[active] >= MIN_GAIN
        active = active[gained]
        flow = flow.index_copy(0, active, candidate[gained])
        reached = reached.index_copy(0, active, score[gained])
        passes[active] += 1
    assert first is not None
    return flow, first, passes


def image_correlation(image: Tensor, flow: Tensor) -> Tensor:
    """Return the correlation [B] of warped moving and fixed image under a flow of any level.

    `image` [B, 2, X, Y, Z] is (moving, fixed). The flow is upsampled to the grid of the images, as
    if the finer levels added nothing.
    """
    while flow.shape[2:] != image.shape[2:]:
        flow = upsample_flow(flow)
    warped = sample(image[:, :1], displaced_index(flow)).flatten(1)
    fixed = image[:, 1].flatten(1)
    warped = warped - warped.mean(dim=1, keepdim=True)
    fixed = fixed - fixed.mean(dim=1, keepdim=True)
    return F.cosine_similarity(warped, fixed, dim=1)


def displaced_index(flow: Tensor) -> Tensor:
    """Return the voxel indices i + flow(i) of a flow [B, 3, X, Y, Z] in voxels."""
    return identity_index(flow.shape[2:], device=flow.device, dtype=flow.dtype) + flow


def upsample_flow(flow: Tensor) -> Tensor:
    """Resample a flow [B, 3, X, Y, Z] in voxels to the grid with twice as many voxels per axis."""
    return F.interpolate(2 * flow, scale_factor=2, mode="trilinear", align_corners=True)
