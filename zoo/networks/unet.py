"""The U-Net of GradICON networks, which predicts a displacement from two images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.networks.unet_head import convolve, upsample_and_convolve

Precision = Literal["float32", "bfloat16"]

PUBLISHED_WIDTH = 16

_DEPTH = 5
_DOWN, _UP = (1, 2, 4, 16, 32), (1, 2, 4, 8, 16)
_COMPACT = 8
_MANY_WEIGHTS = (
    3,
    4,
)  # levels with more weights than voxels, where folding batch norm does not pay
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class UNet(nn.Module):
    """Five levels down by strided convolution, five up by transposed convolution, with residuals.

    `width` is the number of channels after the first level, 16 in the published networks. A
    narrower network is compact: no level has more than eight times its width, because the deepest
    levels would hold nearly all weights but have few voxels of a pair that is roughly aligned.
    `precision` is the type of computation in evaluation without gradients. A fresh network returns
    zero. The names of the attributes are those of the published state dict.

    In evaluation batch norm is folded into the transposed convolutions, and the last level is a
    single convolution (`zoo.networks.unet_head`). The function is the same, but several times
    faster.
    """

    def __init__(self, width: int = 16, precision: Precision = "float32") -> None:
        super().__init__()
        most = width * (_COMPACT if width < PUBLISHED_WIDTH else max(_DOWN))
        down = [2, *(min(width * factor, most) for factor in _DOWN)]
        up = [min(width * factor, most) for factor in _UP]
        joined = [d + u for d, u in zip(down[1:], [*up[1:], 0], strict=True)]
        self.precision = precision
        self.downConvs = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in pairwise(down)
        )
        self.upConvs = nn.ModuleList(
            nn.ConvTranspose3d(a, b, 4, stride=2, padding=1)
            for a, b in zip(joined, up, strict=True)
        )
        self.batchNorms = nn.ModuleList(nn.BatchNorm3d(channels) for channels in up)
        self.lastConv = nn.Conv3d(width + 2, 3, 3, padding=1)
        for parameter in self.lastConv.parameters():
            nn.init.zeros_(parameter)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return the displacement [B, 3, X, Y, Z], in unit cubes, of two images [B, 1, X, Y, Z]."""
        exact = torch.is_grad_enabled() or self.training
        dtype = moving.dtype if exact else _DTYPES[self.precision]
        x = torch.stack([moving[:, 0], fixed[:, 0]], dim=-1).movedim(-1, 1).to(dtype)
        skips = []
        for convolution in self.downConvs:
            skips.append(x)
            x = _down(x, convolution)
        active = F.leaky_relu(x)
        for depth in range(_DEPTH - 1, 0, -1):
            skip = skips.pop()
            x = self._up(depth, active, x, skip.shape[2:])
            active = F.leaky_relu_(torch.cat([x, skip], dim=1)) if depth > 1 else skip
        return self._last(x, active, skips.pop())

    def _up(self, depth: int, active: Tensor, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Return one level, cropped to `shape`: norm(deconv(active) + x upsampled by two)."""
        convolution, norm = self.upConvs[depth], self.batchNorms[depth]
        assert isinstance(convolution, nn.ConvTranspose3d)
        assert isinstance(norm, nn.BatchNorm3d)
        x = x[:, : norm.num_features]
        if self.training or depth in _MANY_WEIGHTS:
            assert convolution.bias is not None
            weight, bias = convolution.weight.to(x.dtype), convolution.bias.to(x.dtype)
            y = F.conv_transpose3d(active, weight, bias, stride=2, padding=1)
            y = norm(y + _doubled(x))
        else:
            scale, shift = _frozen(norm, convolution)
            weight = (convolution.weight * _per_channel(scale)).to(x.dtype)
            y = F.conv_transpose3d(active, weight, shift.to(x.dtype), stride=2, padding=1)
            y += _doubled(x * _per_channel(scale).to(x.dtype))
        return y[:, :, : shape[0], : shape[1], : shape[2]]

    def _last(self, x: Tensor, skip: Tensor, images: Tensor) -> Tensor:
        """Return the displacement from the full-size level and the last convolution."""
        if self.training:
            active = F.leaky_relu_(torch.cat([x, skip], dim=1))
            y = self._up(0, active, x, images.shape[2:])
            last: Tensor = self.lastConv(torch.cat([y, images], dim=1))
            return last / 10
        convolution, norm = self.upConvs[0], self.batchNorms[0]
        assert isinstance(convolution, nn.ConvTranspose3d)
        assert isinstance(norm, nn.BatchNorm3d)
        width = norm.num_features
        joined = torch.cat([x, skip, x[:, :width]], dim=1)
        F.leaky_relu_(joined[:, :-width])
        scale, shift = _frozen(norm, convolution)
        assert self.lastConv.bias is not None
        kernel, bias = self.lastConv.weight / 10, self.lastConv.bias / 10
        shape = images.shape[2:]
        out = upsample_and_convolve(
            joined, convolution.weight, scale, shift, kernel[:, :width], bias, shape
        )
        out += convolve(images, kernel[:, width:].to(images.dtype), padding=1)
        return out


def _down(x: Tensor, convolution: nn.Module) -> Tensor:
    """Return conv(leaky_relu(x)) with the channels of `halved(x)` added to its last channels."""
    assert isinstance(convolution, nn.Conv3d)
    assert convolution.bias is not None
    weight, bias = convolution.weight.to(x.dtype), convolution.bias.to(x.dtype)
    y = F.conv3d(F.leaky_relu(x), weight, bias, stride=2, padding=1)
    y[:, -x.shape[1] :] += halved(x)
    return y


def halved(x: Tensor) -> Tensor:
    """Average pairs of voxels along each axis of [B, C, X, Y, Z]; an odd last voxel is kept."""
    for axis in (2, 3, 4):
        n = x.shape[axis]
        first, second = (x.movedim(axis, 0)[start::2].movedim(0, axis) for start in (0, 1))
        x = first.clone()
        x.narrow(axis, 0, n // 2).add_(second).mul_(0.5)
    return x


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)


def _frozen(norm: nn.BatchNorm3d, convolution: nn.ConvTranspose3d) -> tuple[Tensor, Tensor]:
    """Return batch norm after a convolution without bias as x -> scale * x + shift."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert convolution.bias is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias + (convolution.bias - norm.running_mean) * scale


def _per_channel(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
