"""UniReg: a registration pyramid whose flow heads are generated from what is known of the pair.

A shared encoder gives four feature maps of each image. From coarse to fine, a decoder compares the
moving features, warped by the flow so far, with the fixed ones, and a controller writes the
kernels of that level's flow head: from the decoder's features of this pair, from the pairing type
(inter- or intra-subject) and from the anatomical region. Names and shapes of the parameters are
those of the released weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry.displacement_maps import resize_displacement
from zoo.geometry.sampling import identity_index, sample
from zoo.networks.conditions import REGION, TYPE, ConditionLike
from zoo.networks.unireg_tasks import COARSEST, check_body, coarser

Variant = Literal["rpn", "iirpn"]
Kernels = list[tuple[Tensor, Tensor]]

HEAD_WIDTH = 8
MAX_PASSES = 10
MIN_GAIN = 0.005
SLAB_VOXELS = 2**21
REACH = 4  # voxels that the four convolutions of a decoder see to each side


class ConvBlock(nn.Module):
    """A 3x3x3 convolution and a LeakyReLU; with `residual` the input is added in between."""

    def __init__(self, inputs: int, outputs: int, *, residual: bool = False) -> None:
        super().__init__()
        self.main = nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, X, Y, Z] to [B, outputs, X, Y, Z]."""
        y = self.main(x)
        if self.residual:
            y += x
        return F.leaky_relu_(y, 0.1)


class Encoder(nn.Module):
    """Four feature maps of one image; each after the first has half the size of the one before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(1, channels)
        self.block2 = ConvBlock(channels, 2 * channels)
        self.block3 = ConvBlock(2 * channels, 4 * channels)
        self.block4 = ConvBlock(4 * channels, 4 * channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map [B, 1, X, Y, Z] to its features, finest first."""
        features = [self.block1(_fast_layout(image))]
        for block in (self.block2, self.block3, self.block4):
            features.append(block(_fast_layout(F.avg_pool3d(features[-1], 2))))
        return features


class DynamicFlow(nn.Module):
    """A flow head of three pointwise convolutions whose numbers a controller generates.

    The controller is linear in [pooled features, type, region]. At first its weight is zero and
    its bias holds one ordinary head, the base head: every condition then gives the same flow.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        groups = max(g for g in (8, 4, 2, 1) if inputs % g == 0)
        self.gap = nn.Sequential(
            nn.GroupNorm(groups, inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool3d(1)
        )
        widths = (inputs, HEAD_WIDTH, HEAD_WIDTH, 3)
        self.shapes = [(widths[k + 1], widths[k]) for k in range(3)]
        numbers = sum(out * (inp + 1) for out, inp in self.shapes)
        conditions = len(TYPE.options) + len(REGION.options)
        self.controller = nn.Conv3d(inputs + conditions, numbers, kernel_size=1)
        self._start_from_base_head()

    def kernels(self, x: Tensor, condition: Tensor) -> Kernels:
        """Return the layers for features [B, C, X, Y, Z] under the conditions [B, 2 + 6].

        Each layer has its weight [B, out, in] and bias [B, out].
        """
        known = torch.cat([self.gap(x), condition[:, :, None, None, None]], dim=1)
        return self._split(self.controller(known).flatten(1))

    def forward(self, x: Tensor, kernels: Kernels) -> Tensor:
        """Apply the layers, each sample its own: [B, C, X, Y, Z] -> [B, 3, X, Y, Z], voxels."""
        y = x.flatten(2)
        for k, (weight, bias) in enumerate(kernels):
            if k:
                y = F.leaky_relu_(y, 0.2)
            y = torch.baddbmm(bias[:, :, None], weight, y)
        return y.unflatten(2, x.shape[2:])

    def _split(self, numbers: Tensor) -> Kernels:
        """Cut [B, n] into the layers: the weights of all layers come first, then the biases."""
        sizes = [out * inp for out, inp in self.shapes] + [out for out, _ in self.shapes]
        parts = numbers.split(sizes, dim=1)
        weights = [part.unflatten(1, s) for part, s in zip(parts, self.shapes, strict=False)]
        return list(zip(weights, parts[3:], strict=True))

    @torch.no_grad()
    def _start_from_base_head(self) -> None:
        assert self.controller.bias is not None
        nn.init.zeros_(self.controller.weight)
        nn.init.zeros_(self.controller.bias)
        first, second, last = (weight[0] for weight, _ in self._split(self.controller.bias[None]))
        nn.init.kaiming_uniform_(first, a=0.2)
        nn.init.kaiming_uniform_(second, a=0.2)
        nn.init.normal_(last, std=1e-5)


class Decoder(nn.Module):
    """One level: compares two feature maps and generates the flow between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.Conv1 = ConvBlock(inputs, outputs)
        self.Conv2 = ConvBlock(outputs, outputs, residual=True)
        self.Conv3 = ConvBlock(outputs, outputs, residual=True)
        self.Conv4 = nn.Conv3d(outputs, outputs // 2, kernel_size=3, padding=1)
        self.dynamic_flow = DynamicFlow(outputs // 2)

    def forward(self, warped: Tensor, fixed: Tensor) -> Tensor:
        """Compare features [B, C, X, Y, Z] of both images: what the flow head reads.

        Without gradients the volume is walked through in slabs, so that the wide intermediate
        results are never there as a whole. A slab carries `REACH` voxels more on each side, which
        makes the result that of one go.
        """
        if torch.is_grad_enabled():
            return self._convolve(warped, fixed)
        whole, *face = warped.shape[2:]
        rows = max(SLAB_VOXELS // (face[0] * face[1]), 4 * REACH)
        compared = warped.new_empty(len(warped), self.Conv4.out_channels, whole, *face)
        for start in range(0, whole, rows):
            low, stop = max(0, start - REACH), min(whole, start + rows)
            slab = slice(low, stop + REACH)
            found = self._convolve(warped[:, :, slab], fixed[:, :, slab])
            compared[:, :, start:stop] = found[:, :, start - low : stop - low]
        return compared

    def _convolve(self, warped: Tensor, fixed: Tensor) -> Tensor:
        x = self.Conv1(torch.cat([_fast_layout(warped), _fast_layout(fixed)], dim=1))
        return self.Conv4(self.Conv3(self.Conv2(x)))


@dataclass(frozen=True)
class Level:
    """What one level of the pyramid did.

    `flow` is the flow after the level, [B, 3, X, Y, Z], in voxels of the level's own grid, which is
    `step` times coarser than the image. `kernels` are the three layers of the flow head, weight
    [B, out, in] and bias [B, out], as the controller wrote them for the level's first pass.
    `passes` [B] counts the passes that were kept (1 in the variant "rpn").
    """

    step: int
    flow: Tensor
    kernels: Kernels
    passes: Tensor


class UniReg(nn.Module):
    """The conditional registration network.

    `variant` "rpn" passes every level once. "iirpn" (same weights) passes a level again while the
    correlation of the warped with the fixed image gains at least 0.005, ten times at most, and
    drops the pass that gained less; each pair of a batch stops for itself.

    `type` ("inter", "intra") and `region` ("chest", "abdomen", "head", "liver", "cardiac", "brain",
    a mixture such as {"chest": 0.5, "abdomen": 0.5}, or the experimental "unknown") are what
    `forward` assumes when it is not told. None: it must be told.

    `size` is the lattice of the body (D, H, W) that the weights were trained on, when they saw
    every task coarser than published: a pair is averaged down by the same ratio, and the flow
    carried back to the pair's own lattice.
    """

    def __init__(
        self,
        channels: int = 8,
        variant: Variant = "rpn",
        type: ConditionLike | None = None,
        region: ConditionLike | None = None,
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if variant not in ("rpn", "iirpn"):
            raise UserError(f"the UniReg variant {variant!r} is not known; allowed: rpn, iirpn")
        for condition, default in ((TYPE, type), (REGION, region)):
            if default is not None:
                condition.encode(default, 1)
        self.variant = variant
        self.default_type = type
        self.default_region = region
        self.size = None if size is None else check_body(size)
        self.encoder = Encoder(channels)
        self.decoder4 = Decoder(8 * channels, 4 * channels)
        self.decoder3 = Decoder(8 * channels, 4 * channels)
        self.decoder2 = Decoder(4 * channels, 4 * channels)
        self.decoder1 = Decoder(2 * channels, 2 * channels)

    def forward(
        self,
        image: Tensor,
        type: ConditionLike | None = None,
        region: ConditionLike | None = None,
    ) -> Tensor:
        """Return the displacement [B, 3, X, Y, Z] that aligns the pair `image` [B, 2, X, Y, Z].

        Channel 0 is the moving and channel 1 the fixed image, both in [0, 1]; each axis divides by
        8. The displacement is in voxels, component k along array axis k, and pulls:
        `warped(i) = moving(i + d(i))`. `type` and `region` may differ from pair to pair.
        """
        *_, finest = self.levels(image, type, region)
        return resize_displacement(finest.flow, image.shape[2:])

    def levels(
        self,
        image: Tensor,
        type: ConditionLike | None = None,
        region: ConditionLike | None = None,
    ) -> Iterator[Level]:
        """Yield what each level does, from coarse to fine; the arguments are those of `forward`.

        The levels are those of the lattice that the weights see.
        """
        _check_image(image)
        if self.size is not None:
            x, y, z = (coarser(n, self.size) for n in image.shape[2:])
            image = F.adaptive_avg_pool3d(image, (x, y, z))
        condition = self._condition(image, type, region)
        moving, fixed = (self.encoder(part) for part in image.split(1, dim=1))
        flow = image.new_zeros(len(image), 3, *[n // COARSEST for n in image.shape[2:]])
        passes = torch.ones(len(image), dtype=torch.long, device=image.device)
        step = COARSEST
        for decoder in (self.decoder4, self.decoder3, self.decoder2, self.decoder1):
            if step < COARSEST:
                flow = to_finer(flow)
            if self.variant == "rpn":
                flow, kernels = advance(decoder, flow, moving.pop(), fixed.pop(), condition)
            else:
                flow, kernels, passes = advance_while_gaining(
                    decoder, flow, moving.pop(), fixed.pop(), condition, image
                )
            yield Level(step, flow, kernels, passes)
            step //= 2

    def freeze_conditions(self, frozen: bool = True) -> None:
        """Keep every flow head the base head: the first stage of training, on a single task."""
        for decoder in (self.decoder4, self.decoder3, self.decoder2, self.decoder1):
            decoder.dynamic_flow.controller.weight.requires_grad_(not frozen)

    def _condition(
        self, image: Tensor, type: ConditionLike | None, region: ConditionLike | None
    ) -> Tensor:
        """Return the weights [B, 2 + 6] of type and region."""
        batch = len(image)
        parts = [
            TYPE.encode(self.default_type if type is None else type, batch),
            REGION.encode(self.default_region if region is None else region, batch),
        ]
        return torch.cat([part.to(image) for part in parts], dim=1)


def advance(
    decoder: Decoder, flow: Tensor, moving: Tensor, fixed: Tensor, condition: Tensor
) -> tuple[Tensor, Kernels]:
    """Pass a level once: warp the moving features, find what remains, and put both flows in one.

    The remaining flow acts first: `new(i) = d(i) + flow(i + d(i))`, voxels of the level,
    [B, 3, X, Y, Z]. Also returns the generated flow head.
    """
    warped = sample(moving.to(flow.dtype), displaced(flow))
    del moving  # the widest tensors of the network: kept no longer than needed
    x = decoder(warped, fixed)
    del warped, fixed
    kernels = decoder.dynamic_flow.kernels(x, condition)
    residual = decoder.dynamic_flow(x, kernels).to(flow.dtype)
    return sample(flow, displaced(residual)) + residual, kernels


def advance_while_gaining(
    decoder: Decoder,
    flow: Tensor,
    moving: Tensor,
    fixed: Tensor,
    condition: Tensor,
    image: Tensor,
) -> tuple[Tensor, Kernels, Tensor]:
    """Pass a level until a pass gains less than `MIN_GAIN`, and leave that pass out.

    The gain is that of `agreement`, against the flow which the pass started from, so a level that
    does not help a pair leaves its flow as it came. Each sample stops for itself. Also returns the
    flow heads of the first pass and how many passes were kept, [B].
    """
    reached = agreement(image, flow)
    passes = torch.zeros(len(flow), dtype=torch.long, device=flow.device)
    active = torch.arange(len(flow), device=flow.device)
    first: Kernels | None = None
    while len(active) and int(passes.max()) < MAX_PASSES:
        given = (part[active] for part in (flow, moving, fixed, condition))
        ahead, kernels = advance(decoder, *given)
        first = first or kernels
        score = agreement(image[active], ahead)
        gained = score - reached[active] >= MIN_GAIN
        active = active[gained]
        flow = flow.index_copy(0, active, ahead[gained])
        reached = reached.index_copy(0, active, score[gained])
        passes[active] += 1
    assert first is not None
    return flow, first, passes


def agreement(image: Tensor, flow: Tensor) -> Tensor:
    """Return [B] the correlation of the pairs [B, 2, X, Y, Z] under a flow of any level.

    The flow is carried to the grid of the images as if the finer levels added nothing.
    """
    while flow.shape[2:] != image.shape[2:]:
        flow = to_finer(flow)
    warped = sample(image[:, :1], displaced(flow)).flatten(1)
    fixed = image[:, 1].flatten(1)
    warped = warped - warped.mean(dim=1, keepdim=True)
    fixed = fixed - fixed.mean(dim=1, keepdim=True)
    return F.cosine_similarity(warped, fixed, dim=1)


def displaced(flow: Tensor) -> Tensor:
    """Return where a flow [B, 3, X, Y, Z] in voxels leads from each voxel: indices, same shape."""
    return identity_index(flow.shape[2:], device=flow.device, dtype=flow.dtype) + flow


def to_finer(flow: Tensor) -> Tensor:
    """Carry a flow [B, 3, X, Y, Z] in voxels to the grid with twice as many voxels an axis."""
    return F.interpolate(2 * flow, scale_factor=2, mode="trilinear", align_corners=True)


def _check_image(image: Tensor) -> None:
    if image.ndim != 5 or image.shape[1] != 2:
        raise UserError(
            f"UniReg takes pairs [B, 2, X, Y, Z] (moving, fixed), not {list(image.shape)}"
        )
    if any(n % COARSEST for n in image.shape[2:]):
        nearest = [max(1, round(n / COARSEST)) * COARSEST for n in image.shape[2:]]
        raise UserError(
            f"the size {list(image.shape[2:])} does not divide by {COARSEST}; "
            f"resample the pair to {nearest} or another size that does"
        )


def _fast_layout(x: Tensor) -> Tensor:
    """Put the channels last in memory on a CPU, where 3-D convolution is then much faster."""
    return x.contiguous(memory_format=torch.channels_last_3d) if x.device.type == "cpu" else x
