"""UniReg: a registration pyramid whose flow heads are generated from conditions on the pair.

A shared encoder computes four feature maps of each image. From coarse to fine, a decoder compares
the fixed features with the moving ones, warped by the current flow. A controller generates the
kernels of the flow head of each level from the decoder's features of the pair, the pairing type
(inter- or intra-subject) and the anatomical region. The names and shapes of the parameters are
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
from zoo.networks.conditions import REGION, TYPE, ConditionLike
from zoo.networks.unireg_blocks import Decoder, Encoder, Kernels
from zoo.networks.unireg_levels import advance, advance_while_gaining, upsample_flow
from zoo.networks.unireg_tasks import COARSEST, check_body, coarser

Variant = Literal["rpn", "iirpn"]


@dataclass(frozen=True)
class Level:
    """The result of one level of the pyramid.

    `flow` is the flow after the level, [B, 3, X, Y, Z], in voxels of the level's own grid, which is
    `step` times coarser than the image. `kernels` are the three layers of the flow head that the
    controller generated for the first pass of the level: weight [B, out, in] and bias [B, out].
    `passes` [B] is the number of passes that were kept, 1 in the variant "rpn".
    """

    step: int
    flow: Tensor
    kernels: Kernels
    passes: Tensor


class UniReg(nn.Module):
    """The conditional registration network.

    `variant` "rpn" runs every level once. "iirpn", with the same weights, repeats a level while the
    correlation of the warped and the fixed image gains at least 0.005, at most ten times, and
    discards the pass that gained less. Each pair of a batch stops independently.

    `type` ("inter", "intra") and `region` ("chest", "abdomen", "head", "liver", "cardiac", "brain",
    a mixture such as {"chest": 0.5, "abdomen": 0.5}, or the experimental "unknown") are the
    defaults of `forward`. A condition without a default must be passed to `forward`.

    `size` is for weights that were trained on a coarser lattice than the published one: the size
    (D, H, W) of their lattice for the body. Each pair is then averaged down by the same ratio, and
    the flow is resampled to the pair's own lattice.
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
            raise UserError(f"UniReg has no variant {variant!r}; choose rpn or iirpn")
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
        """Return the displacement [B, 3, X, Y, Z] that aligns the pairs `image` [B, 2, X, Y, Z].

        Channel 0 is the moving and channel 1 the fixed image, both in [0, 1]; the size of each axis
        is a multiple of 8. The displacement is in voxels, component k along array axis k, and
        pull-back: `warped(i) = moving(i + d(i))`. `type` and `region` may differ from pair to pair.
        """
        *_, finest = self.levels(image, type, region)
        return resize_displacement(finest.flow, image.shape[2:])

    def levels(
        self,
        image: Tensor,
        type: ConditionLike | None = None,
        region: ConditionLike | None = None,
    ) -> Iterator[Level]:
        """Yield the result of each level, from coarse to fine.

        The arguments are those of `forward`. With `size` the levels are those of the lattice that
        the pair is averaged down to.
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
                flow = upsample_flow(flow)
            if self.variant == "rpn":
                flow, kernels = advance(decoder, flow, moving.pop(), fixed.pop(), condition)
            else:
                flow, kernels, passes = advance_while_gaining(
                    decoder, flow, moving.pop(), fixed.pop(), condition, image
                )
            yield Level(step, flow, kernels, passes)
            step //= 2

    def freeze_conditions(self, frozen: bool = True) -> None:
        """Fix every flow head to the base head, or release it again with `frozen` False.

        The first stage of training, on a single task, trains with the base head.
        """
        for decoder in (self.decoder4, self.decoder3, self.decoder2, self.decoder1):
            decoder.dynamic_flow.controller.weight.requires_grad_(not frozen)

    def _condition(
        self, image: Tensor, type: ConditionLike | None, region: ConditionLike | None
    ) -> Tensor:
        """Return the condition weights [B, 2 + 6] of type and region."""
        batch = len(image)
        parts = [
            TYPE.encode(self.default_type if type is None else type, batch),
            REGION.encode(self.default_region if region is None else region, batch),
        ]
        return torch.cat([part.to(image) for part in parts], dim=1)


def _check_image(image: Tensor) -> None:
    if image.ndim != 5 or image.shape[1] != 2:
        raise UserError(
            "UniReg takes pairs of a moving and a fixed image, [B, 2, X, Y, Z], not "
            f"{list(image.shape)}"
        )
    if any(n % COARSEST for n in image.shape[2:]):
        nearest = [max(1, round(n / COARSEST)) * COARSEST for n in image.shape[2:]]
        raise UserError(
            f"the image size {list(image.shape[2:])} is not a multiple of {COARSEST} along every "
            f"axis; resample the pair, for example to {nearest}"
        )
