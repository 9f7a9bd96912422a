"""The last level of the U-Net as a single convolution, which makes inference several times faster.

After its last leaky ReLU the network is linear: transposed convolution plus trilinear upsampling,
batch norm with fixed statistics, cropping, concatenation of the input, and convolution to three
channels. On the half-size grid, the composition of these steps is a 3x3x3 convolution that returns
the three components of all eight voxels of a 2x2x2 block. The full-size feature maps never exist.

Cropping and zero padding change the composition in the outermost blocks. Therefore the first, the
inner and the last blocks along each axis have their own kernels, 27 in all; a zone is the set of
blocks that share a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FIRST, INNER, LAST = range(3)
_TRILINEAR = (0.25, 0.75, 0.75, 0.25)  # trilinear upsampling by two, as a 4-tap kernel

Slices = tuple[slice, ...]
Zone = tuple[int, ...]


def upsample_and_convolve(
    joined: Tensor,
    up: Tensor,
    scale: Tensor,
    shift: Tensor,
    last: Tensor,
    bias: Tensor,
    shape: Sequence[int],
) -> Tensor:
    """Return conv3d(crop(scale * (deconv(active) + upsample(raw)) + shift), last) + bias.

    `joined` [B, C + M, x, y, z] consists of active, C channels for the transposed convolution `up`
    [C, M, 4, 4, 4] (stride 2, padding 1), and raw, M channels that are upsampled by trilinear
    interpolation. `scale` and `shift` are [M], `bias` is [3], and `last` is [3, M, 3, 3, 3] with
    zero padding outside the cropped `shape`. The result is [B, 3, *shape] in at least float32.
    """
    kernels, biases = _kernels(up, scale, shift, last, bias, shape)
    full: Tensor = _Composed.apply(  # type: ignore[no-untyped-call]
        joined, kernels.to(joined.dtype), biases.to(joined.dtype)
    )
    return full[:, :, : shape[0], : shape[1], : shape[2]]


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None = None, padding: int = 0) -> Tensor:
    """Return conv3d(x, kernel, bias), on the CPU always by oneDNN.

    For thin slabs and few channels torch chooses its own kernel, which is five to ten times slower.
    """
    if (
        x.device.type != "cpu"
        or x.dtype != torch.float32
        or not torch.backends.mkldnn.is_available()
    ):
        return F.conv3d(x, kernel, bias, padding=padding)
    ones = (1, 1, 1)
    return torch.mkldnn_convolution(x, kernel, bias, (padding,) * 3, ones, ones, 1)


class _Composed(torch.autograd.Function):
    """Convolve the blocks [B, C + M, x, y, z] of each zone to voxels [B, 3, 2 x, 2 y, 2 z].

    It is one step for autograd, because separate zones would each allocate and add a full gradient.
    """

    @staticmethod
    def forward(ctx: Any, joined: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
        """Convolve each zone with its kernel and write the voxels of its blocks."""
        ctx.save_for_backward(joined, kernels)
        dtype = torch.promote_types(joined.dtype, torch.float32)
        full = joined.new_empty(len(joined), 3, *(2 * n for n in joined.shape[2:]), dtype=dtype)
        by_block = _by_block(full)
        for zone, written, reads, taps in _zones(joined.shape[2:]):
            tile = convolve(joined[reads], kernels[zone][taps], biases[zone])
            voxels = tile.unflatten(1, (2, 2, 2, 3)).permute(0, 4, 5, 1, 6, 2, 7, 3)
            by_block[written] = voxels
        return full

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients of the blocks, the kernels and the biases."""
        joined, kernels = ctx.saved_tensors
        grad_joined = torch.zeros_like(joined)
        grad_kernels = torch.zeros_like(kernels)
        grad_biases = kernels.new_zeros(kernels.shape[:4])
        by_block = _by_block(grads[0])
        for zone, written, reads, taps in _zones(joined.shape[2:]):
            voxels = by_block[written].permute(0, 3, 5, 7, 1, 2, 4, 6)
            grad_piece, grad_kernel, grad_bias = torch.ops.aten.convolution_backward(
                voxels.flatten(1, 4).to(joined.dtype),
                joined[reads],
                kernels[zone][taps],
                [kernels.shape[3]],
                stride=[1] * 3,
                padding=[0] * 3,
                dilation=[1] * 3,
                transposed=False,
                output_padding=[0] * 3,
                groups=1,
                output_mask=[True] * 3,
            )
            grad_joined[reads] += grad_piece
            grad_kernels[zone][taps] = grad_kernel
            grad_biases[zone] = grad_bias
        return grad_joined, grad_kernels, grad_biases


def _by_block(full: Tensor) -> Tensor:
    """View voxels [B, 3, 2 x, 2 y, 2 z] as [B, 3, x, 2, y, 2, z, 2]."""
    x, y, z = (n // 2 for n in full.shape[2:])
    return full.reshape(-1, 3, x, 2, y, 2, z, 2)


def _zones(blocks: Sequence[int]) -> Iterator[tuple[Zone, Slices, Slices, Slices]]:
    """Yield each zone of a grid of blocks with three indices.

    They select the zone's voxels in `_by_block`, the blocks of the input that the zone reads, and
    the taps of the zone's kernel that stay inside the grid.
    """
    all_of = slice(None)
    for zone in product((FIRST, INNER, LAST), repeat=3):
        parts = (_extent(side, n) for side, n in zip(zone, blocks, strict=True))
        (i, j, k), reads, taps = zip(*parts, strict=True)
        if all(part.start < part.stop for part in (i, j, k)):
            written = (all_of, all_of, i, all_of, j, all_of, k)
            yield zone, written, (all_of, all_of, *reads), (all_of, all_of, *taps)


def _extent(zone: int, blocks: int) -> tuple[slice, slice, slice]:
    """Return, along one axis, the blocks of a zone, the blocks that it reads, and its taps."""
    if zone == FIRST:
        return slice(0, 1), slice(0, 2), slice(1, 3)
    if zone == LAST:
        return slice(blocks - 1, blocks), slice(blocks - 2, blocks), slice(0, 2)
    return slice(1, blocks - 1), slice(0, blocks), slice(0, 3)


def _kernels(
    up: Tensor, scale: Tensor, shift: Tensor, last: Tensor, bias: Tensor, shape: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the kernels [3, 3, 3, 24, C + M, 3, 3, 3] and biases [3, 3, 3, 24] of all zones.

    The 24 channels are ordered by the voxel in its block (x, y, z) and then by component.
    """
    zeros, edges, inside = zip(*(_placements(n, up) for n in shape), strict=True)
    taps = torch.tensor(_TRILINEAR).to(up)
    trilinear = torch.einsum("k,l,n->kln", taps, taps, taps)
    upsampling = torch.diag(scale)[:, :, None, None, None] * trilinear
    kernels = torch.cat(
        [
            _composed(up * scale.view(1, -1, 1, 1, 1), last, zeros),
            _composed(upsampling, last, edges),
        ],
        dim=7,
    )
    biases = torch.einsum(
        "omdef,m,apd,bqe,grf->abgpqro", last, shift, inside[0], inside[1], inside[2]
    )
    return kernels.flatten(3, 6), (biases + bias).flatten(3, 6)


def _composed(up: Tensor, last: Tensor, placements: Sequence[Tensor]) -> Tensor:
    """Return the kernel of `last` after `up`: [zone x, y, z, voxel x, y, z, 3, C, tap x, y, z]."""
    products = torch.einsum("omdef,cmkln->ocdefkln", last, up)
    along_x = torch.einsum("ocdefkln,apdkt->oceflnapt", products, placements[0])
    along_y = torch.einsum("oceflnapt,bqelu->ocfnaptbqu", along_x, placements[1])
    return torch.einsum("ocfnaptbqu,grfnv->abgpqroctuv", along_y, placements[2])


def _placements(n: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return which taps combine along an axis of `n` full-size voxels, as tensors of 0 and 1.

    For voxel p of a block, tap d of the last convolution reads full-size voxel p + d, which tap k
    of the upsampling computes from half-size voxel t. All indices are relative to the block. The
    first result [zone, p, d, k, t] drops voxels outside the half-size grid, as zero padding does;
    the second one replaces them by the edge, as interpolation does. The third one, [zone, p, d],
    is 1 where the full-size voxel exists.
    """
    zeros, edges, inside = (
        torch.zeros(3, 2, 3, 4, 3),
        torch.zeros(3, 2, 3, 4, 3),
        torch.zeros(3, 2, 3),
    )
    beyond = 1 if n % 2 else 2  # the first voxel, counted from the last block, that is cropped
    for zone, p, d in product(range(3), range(2), range(3)):
        voxel = p + d - 1
        if (zone == FIRST and voxel < 0) or (zone == LAST and voxel >= beyond):
            continue
        inside[zone, p, d] = 1
        for k in range((voxel + 1) % 2, 4, 2):
            t = (voxel + 1 - k) // 2
            outside = (zone == FIRST and t < 0) or (zone == LAST and t > 0)
            zeros[zone, p, d, k, t + 1] = not outside
            edges[zone, p, d, k, 1 if outside else t + 1] = 1
    return zeros.to(like), edges.to(like), inside.to(like)
