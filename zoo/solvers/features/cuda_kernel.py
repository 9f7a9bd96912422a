"""Comparison of features on a CUDA device: sampling, residual and gradient in one pass.

Torch reads the eight neighbours of every position twice and stores residuals and slopes of all
channels in between. Triton comes with the CUDA builds of torch for Linux. The kernel is used only
after it has given the numbers of plain torch for a small example on the device.
"""

from __future__ import annotations

import logging
from functools import cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from zoo.geometry.sampling import identity_index, sample

BLOCK = 128
"""Cells per program of the kernel."""

_log = logging.getLogger(__name__)


@triton.jit  # type: ignore[untyped-decorator]
def compare_cells(
    moving: tl.tensor,
    fixed: tl.tensor,
    index: tl.tensor,
    weight: tl.tensor,
    gradient: tl.tensor,
    sums: tl.tensor,
    channels: int,
    ny: int,
    nz: int,
    cells: int,
    moving_channel: int,
    fixed_channel: int,
    fixed_x: int,
    fixed_y: int,
    fixed_z: int,
    sx: int,
    sy: int,
    sz: int,
    scale: float,
    weighted: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Write the gradient of the weighted squared difference, and its sum over a block of cells.

    The arrays are given by their addresses: `index` and `gradient` [3, x, ny, nz] with `cells`
    voxels, `fixed` [C, x, ny, nz] with the strides fixed_channel to fixed_z, `weight` [x, ny, nz]
    and `moving` [C, sx, sy, sz] with the stride `moving_channel` between contiguous volumes, whose
    border is repeated. Every cell counts with `scale`, times its weight if `weighted`.
    """
    cell = tl.program_id(0) * block + tl.arange(0, block)
    exists = cell < cells
    px = tl.load(index + cell, mask=exists, other=0.0)
    py = tl.load(index + cells + cell, mask=exists, other=0.0)
    pz = tl.load(index + 2 * cells + cell, mask=exists, other=0.0)
    # A comparison with NaN is false, so that its cell is 0.
    x = tl.where(px > 0, tl.minimum(px, sx - 1.0), 0.0).to(tl.int32)
    y = tl.where(py > 0, tl.minimum(py, sy - 1.0), 0.0).to(tl.int32)
    z = tl.where(pz > 0, tl.minimum(pz, sz - 1.0), 0.0).to(tl.int32)
    # A position on or outside the border has no next voxel, and its derivative is zero.
    inside_x = (px > 0) & (px < sx - 1)
    inside_y = (py > 0) & (py < sy - 1)
    inside_z = (pz > 0) & (pz < sz - 1)
    u = tl.where(inside_x, px - x, 0.0)
    v = tl.where(inside_y, py - y, 0.0)
    w = tl.where(inside_z, pz - z, 0.0)
    step_x = tl.where(inside_x, sy * sz, 0)
    step_y = tl.where(inside_y, sz, 0)
    step_z = tl.where(inside_z, 1, 0)
    corner = moving + (x * sy + y) * sz + z
    k = cell % nz
    j = (cell // nz) % ny
    target = fixed + (cell // (nz * ny)) * fixed_x + j * fixed_y + k * fixed_z
    square = tl.zeros([block], tl.float32)
    slope_x = tl.zeros([block], tl.float32)
    slope_y = tl.zeros([block], tl.float32)
    slope_z = tl.zeros([block], tl.float32)
    for _ in range(channels):
        c000 = tl.load(corner, mask=exists, other=0.0).to(tl.float32)
        c001 = tl.load(corner + step_z, mask=exists, other=0.0).to(tl.float32)
        c010 = tl.load(corner + step_y, mask=exists, other=0.0).to(tl.float32)
        c011 = tl.load(corner + step_y + step_z, mask=exists, other=0.0).to(tl.float32)
        c100 = tl.load(corner + step_x, mask=exists, other=0.0).to(tl.float32)
        c101 = tl.load(corner + step_x + step_z, mask=exists, other=0.0).to(tl.float32)
        c110 = tl.load(corner + step_x + step_y, mask=exists, other=0.0).to(tl.float32)
        c111 = tl.load(corner + step_x + step_y + step_z, mask=exists, other=0.0).to(tl.float32)
        # Interpolated along z, then along y, then along x.
        d00, d01, d10, d11 = c001 - c000, c011 - c010, c101 - c100, c111 - c110
        e00, e01, e10, e11 = c000 + w * d00, c010 + w * d01, c100 + w * d10, c110 + w * d11
        f0, f1 = e00 + v * (e01 - e00), e10 + v * (e11 - e10)
        near, far = d00 + v * (d01 - d00), d10 + v * (d11 - d10)
        value = tl.load(target, mask=exists, other=0.0).to(tl.float32)
        residual = f0 + u * (f1 - f0) - value
        square += residual * residual
        slope_x += residual * (f1 - f0)
        slope_y += residual * ((e01 - e00) + u * ((e11 - e10) - (e01 - e00)))
        slope_z += residual * (near + u * (far - near))
        corner += moving_channel
        target += fixed_channel
    share = tl.full([block], scale, tl.float32)
    if weighted:
        share *= tl.load(weight + cell, mask=exists, other=0.0)
    tl.store(gradient + cell, tl.where(inside_x, 2 * share * slope_x, 0.0), mask=exists)
    tl.store(gradient + cells + cell, tl.where(inside_y, 2 * share * slope_y, 0.0), mask=exists)
    tl.store(gradient + 2 * cells + cell, tl.where(inside_z, 2 * share * slope_z, 0.0), mask=exists)
    tl.store(sums + tl.program_id(0), tl.sum(tl.where(exists, share * square, 0.0)))


def compare_on_device(
    fixed: Tensor, moving: Tensor, index: Tensor, weights: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Return what `compare_features` returns, with the border repeated."""
    weight = None
    if weights is not None:
        weight = sample(weights[1], index).mul_(weights[0]).contiguous()
    if not moving[0, 0].is_contiguous():
        moving = moving.contiguous()
    index = index.contiguous()
    gradient = torch.empty_like(index)
    cells = index[0, 0].numel()
    blocks = triton.cdiv(cells, BLOCK)
    sums = index.new_empty(blocks)
    compare_cells[(blocks,)](
        moving,
        fixed,
        index,
        index if weight is None else weight,
        gradient,
        sums,
        moving.shape[1],
        *index.shape[3:],
        cells,
        moving.stride(1),
        *fixed.stride()[1:],
        *moving.shape[2:],
        1 / cells,
        weighted=weight is not None,
        block=BLOCK,
    )
    return gradient, sums.sum()


@cache
def works_on(device: torch.device) -> bool:
    """Return whether the kernel runs on a device and gives the numbers of plain torch there."""
    from zoo.solvers.features.comparison import compare_features_with_torch  # imports this module

    example = _example(device)
    try:
        found = compare_on_device(*example)
        expected = compare_features_with_torch(*example[:3], weights=example[3])
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    except Exception as error:  # Triton's compiler and driver raise many kinds of errors
        _log.warning("features are compared without Triton on %s: %s", device, error)
        return False
    return True


def _example(device: torch.device) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return features, positions up to two voxels outside the grid, and weights."""
    random = torch.Generator().manual_seed(0)

    def noise(channels: int) -> Tensor:
        return torch.rand(1, channels, 7, 6, 9, generator=random).to(device)

    index = identity_index((7, 6, 9), device=device) + 4 * noise(3) - 2
    return noise(12), noise(12), index, (noise(1), noise(1))
