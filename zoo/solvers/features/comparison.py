"""The squared difference of features and its gradient, by the fastest means of the device."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from zoo.geometry.sampling import Outside, sample, sample_gradient

_SLAB = 1 << 15  # cells that are compared at once on a CPU, so that they stay in the cache


def compare_features(
    fixed: Tensor,
    moving: Tensor,
    index: Tensor,
    outside: Outside = "border",
    weights: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the gradient with respect to `index` of the mean squared difference, and the mean.

    `index` [1, 3, x, y, z] are positions in `moving`. The mean is that over the cells of the sum
    over the channels. `weights` [1, 1, x, y, z] and [1, 1, X, Y, Z] multiply the squared difference
    of each cell and count as constant in the gradient. The work is done in slabs, so that the
    warped features never exist as a whole.
    """
    if outside == "border" and moving.device.type == "cpu" and moving.dtype == torch.float32:
        try:
            from zoo.solvers.features.cpu_kernel import (
                compare_rows,  # numba is imported where needed
            )

            return _compare_compiled(compare_rows, fixed, moving, index, weights)
        except ImportError:  # numba has no wheel for this computer
            pass
    if outside == "border" and torch.cuda.is_available() and moving.is_cuda:
        try:
            from zoo.solvers.features.cuda_kernel import compare_on_device, works_on

            if works_on(moving.device):
                return compare_on_device(fixed, moving, index, weights)
        except ImportError:  # Triton is not installed, as on Windows
            pass
    return compare_features_with_torch(fixed, moving, index, outside, weights)


def _compare_compiled(
    compare_rows: Callable[..., float],
    fixed: Tensor,
    moving: Tensor,
    index: Tensor,
    weights: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Return what `compare_features` returns; the threads of torch share the slabs."""
    cells = index[0, 0].numel()
    rows = max(1, _SLAB // index[0, 0, 0].numel())
    index = index.contiguous()
    gradient = torch.empty_like(index)
    volumes, shape = moving[0].flatten(1).numpy(), tuple(moving.shape[2:])

    def compare(start: int) -> float:
        weight = torch.ones(1, 1, 1, 1, 1)
        if weights is not None:
            part = index[:, :, start : start + rows]
            weight = sample(weights[1], part).mul_(weights[0][:, :, start : start + rows])
        return compare_rows(
            fixed[0, :, start : start + rows].float().contiguous().numpy(),
            volumes,
            shape,
            index[0].numpy(),
            (weight / cells)[0, 0].contiguous().numpy(),
            gradient[0].numpy(),
            start,
        )

    starts, threads = range(0, index.shape[2], rows), torch.get_num_threads()
    if threads == 1:
        return gradient, torch.tensor(sum(map(compare, starts)))
    with ThreadPoolExecutor(threads) as pool:
        return gradient, torch.tensor(sum(pool.map(compare, starts)))


def compare_features_with_torch(
    fixed: Tensor,
    moving: Tensor,
    index: Tensor,
    outside: Outside = "border",
    weights: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Return what `compare_features` returns, on any device and for any treatment of the border."""
    cells = index[0, 0].numel()
    on_cpu = index.device.type == "cpu"
    rows = max(1, _SLAB // index[0, 0, 0].numel()) if on_cpu else index.shape[2]
    gradient = torch.empty_like(index)
    total = torch.zeros((), device=index.device)
    for start in range(0, index.shape[2], rows):
        part = index[:, :, start : start + rows]
        residual = sample(moving, part, outside=outside).sub_(fixed[:, :, start : start + rows])
        if weights is not None:
            share = sample(weights[1], part).mul_(weights[0][:, :, start : start + rows])
            total += (residual.square() * share).sum()
            residual.mul_(share)
        slope = sample_gradient(moving, part, residual, outside=outside)
        gradient[:, :, start : start + rows] = slope.mul_(2 / cells)
        if weights is None:
            total += residual.square_().sum()
    return gradient, total / cells
