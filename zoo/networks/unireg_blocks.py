"""The blocks of UniReg: encoder, decoder, and the flow head whose kernels a controller generates.

The names of the attributes are those of the released state dict.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.networks.conditions import REGION, TYPE

Kernels = list[tuple[Tensor, Tensor]]
"""The layers of a flow head: weight [B, out, in] and bias [B, out] of each."""

HEAD_WIDTH = 8
SLAB_VOXELS = 2**21
REACH = 4  # voxels, on each side, that the four convolutions of a decoder read


class ConvBlock(nn.Module):
    """A 3x3x3 convolution and a LeakyReLU; with `residual` the input is added before the latter."""

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
    """Computes four feature maps of one image, each of half the size of the previous one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block1 = ConvBlock(1, channels)
        self.block2 = ConvBlock(channels, 2 * channels)
        self.block3 = ConvBlock(2 * channels, 4 * channels)
        self.block4 = ConvBlock(4 * channels, 4 * channels)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps of an image [B, 1, X, Y, Z], finest first."""
        features = [self.block1(_fast_layout(image))]
        for block in (self.block2, self.block3, self.block4):
            features.append(block(_fast_layout(F.avg_pool3d(features[-1], 2))))
        return features


class DynamicFlow(nn.Module):
    """A flow head of three pointwise convolutions whose parameters a controller generates.

    The controller is linear in [pooled features, type, region]. Its weight is initialised with
    zero and its bias with the parameters of one ordinary head, the base head. A fresh network thus
    returns the same flow under every condition.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        groups = max(g for g in (8, 4, 2, 1) if inputs % g == 0)
        self.gap = nn.Sequential(
            nn.GroupNorm(groups, inputs), nn.ReLU(inplace=True), nn.AdaptiveAvgPool3d(1)
        )
        widths = (inputs, HEAD_WIDTH, HEAD_WIDTH, 3)
        self.shapes = [(widths[k + 1], widths[k]) for k in range(3)]
        parameters = sum(out * (inp + 1) for out, inp in self.shapes)
        conditions = len(TYPE.options) + len(REGION.options)
        self.controller = nn.Conv3d(inputs + conditions, parameters, kernel_size=1)
        self._initialise_base_head()

    def kernels(self, x: Tensor, condition: Tensor) -> Kernels:
        """Return the layers for features `x` [B, C, X, Y, Z] under the conditions [B, 2 + 6]."""
        inputs = torch.cat([self.gap(x), condition[:, :, None, None, None]], dim=1)
        return self._split(self.controller(inputs).flatten(1))

    def forward(self, x: Tensor, kernels: Kernels) -> Tensor:
        """Apply the layers of each sample to `x` [B, C, X, Y, Z].

        Returns the flow [B, 3, X, Y, Z] in voxels.
        """
        y = x.flatten(2)
        for k, (weight, bias) in enumerate(kernels):
            if k:
                y = F.leaky_relu_(y, 0.2)
            y = torch.baddbmm(bias[:, :, None], weight, y)
        unflattened: Tensor = y.unflatten(2, x.shape[2:])
        return unflattened

    def _split(self, parameters: Tensor) -> Kernels:
        """Split [B, n] into the layers: the weights of all layers come first, then the biases."""
        sizes = [out * inp for out, inp in self.shapes] + [out for out, _ in self.shapes]
        parts = parameters.split(sizes, dim=1)
        weights = [part.unflatten(1, s) for part, s in zip(parts, self.shapes, strict=False)]
        return list(zip(weights, parts[3:], strict=True))

    @torch.no_grad()
    def _initialise_base_head(self) -> None:
        assert self.controller.bias is not None
        nn.init.zeros_(self.controller.weight)
        nn.init.zeros_(self.controller.bias)
        first, second, last = (weight[0] for weight, _ in self._split(self.controller.bias[None]))
        nn.init.kaiming_uniform_(first, a=0.2)
        nn.init.kaiming_uniform_(second, a=0.2)
        nn.init.normal_(last, std=1e-5)


class Decoder(nn.Module):
    """One level of the pyramid: compares two feature maps and generates the flow between them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.Conv1 = ConvBlock(inputs, outputs)
        self.Conv2 = ConvBlock(outputs, outputs, residual=True)
        self.Conv3 = ConvBlock(outputs, outputs, residual=True)
        self.Conv4 = nn.Conv3d(outputs, outputs // 2, kernel_size=3, padding=1)
        self.dynamic_flow = DynamicFlow(outputs // 2)

    def forward(self, warped: Tensor, fixed: Tensor) -> Tensor:
        """Return the input of the flow head from the features [B, C, X, Y, Z] of both images.

        Without gradients the volume is processed in slabs, so that the wide intermediate results
        never exist as a whole. Each slab has `REACH` extra voxels on each side, so the result is
        the same as without slabs.
        """
        if torch.is_grad_enabled():
            return self._convolve(warped, fixed)
        whole, *face = warped.shape[2:]
        rows = max(SLAB_VOXELS // (face[0] * face[1]), 4 * REACH)
        compared = warped.new_empty(len(warped), self.Conv4.out_channels, whole, *face)
        for start in range(0, whole, rows):
            low, stop = max(0, start - REACH), min(whole, start + rows)
            slab = slice(low, stop + REACH)
            output = self._convolve(warped[:, :, slab], fixed[:, :, slab])
            compared[:, :, start:stop] = output[:, :, start - low : stop - low]
        return compared

    def _convolve(self, warped: Tensor, fixed: Tensor) -> Tensor:
        x = self.Conv1(torch.cat([_fast_layout(warped), _fast_layout(fixed)], dim=1))
        compared: Tensor = self.Conv4(self.Conv3(self.Conv2(x)))
        return compared


def _fast_layout(x: Tensor) -> Tensor:
    """Put the channels last in memory on a CPU, which makes 3-D convolution much faster."""
    return x.contiguous(memory_format=torch.channels_last_3d) if x.device.type == "cpu" else x
