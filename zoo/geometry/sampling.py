"""Interpolation of volumes: linear, nearest neighbour and cubic B-spline.

Coordinates are voxel indices of the sampled volume: float, [B, 3, x, y, z], component k along
array axis k, with the centre of the first voxel at (0, 0, 0). Only `_cube_grid` reverses and
scales the axes as `grid_sample` requires.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Outside = Literal["border", "zeros"]


def identity_index(
    shape: Sequence[int], *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return the index of every voxel of a grid: [1, 3, X, Y, Z], component k along axis k."""
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def affine_index(
    matrix: Tensor,
    shape: Sequence[int],
    *,
    start: int = 0,
    device: torch.device | str | None = None,
) -> Tensor:
    """Return `matrix @ index` for every voxel of a grid: [1, 3, X, Y, Z], float32, on `device`.

    `matrix` is 4x4. `start` is added to the first index, to process a slab of a larger grid. Three
    broadcast sums replace one matrix product per voxel. All but the last of them are computed in
    double precision on the CPU, because Apple's GPUs have only single precision.
    """
    matrix = matrix.cpu().double()
    offsets = (float(start), 0.0, 0.0)
    rows = []
    for k in range(3):
        terms = []
        for j, n in enumerate(shape):
            view = [1, 1, 1]
            view[j] = n
            steps = torch.arange(n, dtype=torch.float64) + offsets[j]
            terms.append((matrix[k, j] * steps).view(view))
        terms[0] = terms[0] + matrix[k, 3]
        near, far = (part.float().to(device) for part in (terms[0], terms[1] + terms[2]))
        rows.append(near + far)
    return torch.stack(rows)[None]


def sample(image: Tensor, index: Tensor, *, outside: Outside = "border") -> Tensor:
    """Interpolate `image` [B, C, X, Y, Z] linearly at `index` [B, 3, x, y, z] -> [B, C, x, y, z].

    Outside the outermost voxel centres, "border" repeats the border value and "zeros" fades to zero
    over one voxel, as in `grid_sample`. A batch of one is expanded to the batch of the other.
    """
    batch = max(len(image), len(index))
    threads = torch.get_num_threads()
    if batch == 1 and image.device.type == "cpu" and threads > 1:
        out: Tensor = _ParallelSample.apply(image, index, outside)  # type: ignore[no-untyped-call]
        return out
    image = image.expand(batch, *image.shape[1:])
    index = index.expand(batch, *index.shape[1:])
    return _grid_sample(image, index, outside)


def inside(index: Tensor, shape: Sequence[int]) -> Tensor:
    """Return which of `index` [B, 3, x, y, z] are inside a volume: [B, 1, x, y, z], bool.

    A voxel extends half a step from its centre; its upper face is excluded, as in ITK.
    """
    within = (index[:, 0] + 0.5 >= 0) & (index[:, 0] < shape[0] - 0.5)
    for k in (1, 2):
        within &= (index[:, k] + 0.5 >= 0) & (index[:, k] < shape[k] - 0.5)
    return within[:, None]


def sample_gradient(
    image: Tensor, index: Tensor, weight: Tensor, *, outside: Outside = "border"
) -> Tensor:
    """Return d sum(weight * sample(image, index)) / d index: [1, 3, x, y, z].

    `image` is [1, C, X, Y, Z], `index` [1, 3, x, y, z] and `weight` [1, C, x, y, z]. No autograd
    graph is built. On a CPU the index is split along its first axis, one part per thread.
    """
    return _sample_backward(image, index, weight, outside, of_image=False)[1]


def sample_nearest(image: Tensor, index: Tensor, *, fill: float = 0) -> Tensor:
    """Return `image` [1, C, X, Y, Z] at the voxels nearest to `index` [1, 3, x, y, z].

    The values are exact for every dtype, since they are not converted to float32. A point half-way
    between two voxels takes the upper one, and a point outside all voxels gets `fill`, as in ITK.
    """
    shape = image.shape[2:]
    nearest = [torch.floor(index[0, k] + 0.5).long() for k in range(3)]
    is_inside = torch.ones_like(nearest[0], dtype=torch.bool)
    flat = torch.zeros_like(nearest[0])
    for position, n in zip(nearest, shape, strict=True):
        is_inside &= (position >= 0) & (position < n)
        flat = flat * n + position.clamp_(0, n - 1)
    out = image[0].flatten(1)[:, flat.flatten()].view(-1, *flat.shape)
    return out.masked_fill_(~is_inside, fill)[None]


def sample_cubic(coefficients: Tensor, index: Tensor) -> Tensor:
    """Evaluate a cubic B-spline at `index` [B, 3, x, y, z].

    `coefficients` [B, C, X, Y, Z] come from `spline_coefficients`. Along each axis two linear
    samples are placed so that their weighted sum equals the spline of four coefficients: eight
    calls of `sample` instead of 64 gathers. Points outside are moved to the border first.
    """
    shape = coefficients.shape[2:]
    last = torch.tensor([n - 1 for n in shape], device=index.device).view(1, 3, 1, 1, 1)
    index = torch.minimum(index.clamp_min(0), last) + 1
    coefficients = _mirror_by_one(coefficients)
    base = torch.floor(index)
    t = index - base
    low = (1 - t) ** 3 / 6 + (4 - 6 * t**2 + 3 * t**3) / 6
    first = base - 1 + (4 - 6 * t**2 + 3 * t**3) / 6 / low
    second = base + 1 + t**3 / 6 / (1 - low)
    total: Tensor | None = None
    for corner in range(8):
        picks = [(corner >> k) & 1 for k in range(3)]
        where = torch.stack([(second if picks[k] else first)[:, k] for k in range(3)], dim=1)
        weight = torch.ones_like(low[:, 0])
        for k in range(3):
            weight = weight * ((1 - low[:, k]) if picks[k] else low[:, k])
        part = sample(coefficients, where) * weight[:, None]
        total = part if total is None else total + part
    assert total is not None
    return total


def spline_coefficients(image: Tensor) -> Tensor:
    """Return the cubic B-spline coefficients of `image`, [B, C, X, Y, Z], mirrored at the border.

    Each axis is multiplied by the inverse of a small tridiagonal matrix, which is exact and gives
    the same result on every device.
    """
    for axis in range(2, 5):
        n = image.shape[axis]
        if n == 1:
            continue
        matrix = torch.diag(torch.full((n,), 4 / 6, dtype=torch.float64))
        matrix += torch.diag(torch.full((n - 1,), 1 / 6, dtype=torch.float64), 1)
        matrix += torch.diag(torch.full((n - 1,), 1 / 6, dtype=torch.float64), -1)
        matrix[0, 1] = matrix[-1, -2] = 2 / 6
        inverse = torch.linalg.inv(matrix).to(image)
        image = torch.matmul(image.movedim(axis, -1), inverse.T).movedim(-1, axis)
    return image


def _mirror_by_one(image: Tensor) -> Tensor:
    """Pad each spatial axis of [B, C, X, Y, Z] with one mirrored voxel at both ends."""
    for axis in range(2, 5):
        n = image.shape[axis]
        ends = [min(1, n - 1), max(n - 2, 0)]
        first, last = (image.narrow(axis, end, 1) for end in ends)
        image = torch.cat([first, image, last], dim=axis)
    return image


def _cube_grid(index: Tensor, shape: Sequence[int]) -> Tensor:
    """Convert voxel indices [B, 3, x, y, z] to the grid of `grid_sample(align_corners=True)`."""
    scale = torch.tensor([2 / max(n - 1, 1) for n in reversed(shape)]).to(index)
    return index.flip(1).mul_(scale.view(1, 3, 1, 1, 1)).sub_(1).movedim(1, -1)


def _grid_sample(image: Tensor, index: Tensor, outside: Outside) -> Tensor:
    grid = _cube_grid(index, image.shape[2:])
    return F.grid_sample(
        image, grid.to(image.dtype), mode="bilinear", padding_mode=outside, align_corners=True
    )


def _sample_backward(
    image: Tensor, index: Tensor, weight: Tensor, outside: Outside, *, of_image: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients of sum(weight * sample(image, index)) by image and by index.

    The gradient by the image is None unless `of_image` is set. On a CPU the index is split along
    its first axis, one part per thread.
    """
    rows = index.shape[2]
    parts = torch.get_num_threads() if image.device.type == "cpu" else 1
    parts = max(1, min(parts, rows))
    whole = rows - rows % parts
    gradients = [
        _part_backward(image, index[:, :, part], weight[:, :, part], outside, count, of_image)
        for part, count in ((slice(0, whole), parts), (slice(whole, rows), 1))
        if part.start < part.stop
    ]
    scale = torch.tensor([2 / max(n - 1, 1) for n in image.shape[2:]], device=image.device)
    by_index = torch.cat([by_cube for _, by_cube in gradients], 2) * scale.view(1, 3, 1, 1, 1)
    by_image = [by_image for by_image, _ in gradients if by_image is not None]
    for other in by_image[1:]:
        by_image[0] += other
    return (by_image[0] if by_image else None), by_index


def _part_backward(
    image: Tensor, index: Tensor, weight: Tensor, outside: Outside, parts: int, of_image: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients by the image and by the cube coordinates, in array-axis order.

    The index is split into `parts` batch items along its first axis.
    """
    index, weight = (
        t[0].reshape(len(t[0]), parts, -1, *t.shape[3:]).movedim(1, 0) for t in (index, weight)
    )
    by_image, by_cube = torch.ops.aten.grid_sampler_3d_backward(
        weight.contiguous(),
        image.expand(parts, *image.shape[1:]),
        _cube_grid(index, image.shape[2:]).to(image.dtype),
        interpolation_mode=0,  # linear
        padding_mode={"zeros": 0, "border": 1}[outside],
        align_corners=True,
        output_mask=[of_image, True],
    )
    by_index: Tensor = by_cube.flatten(0, 1).movedim(-1, 0).flip(0)[None]
    return (by_image.sum(0, keepdim=True) if of_image else None), by_index


class _ParallelSample(torch.autograd.Function):
    """`sample` of one volume on all threads of a CPU, differentiable by image and index."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, index: Tensor, outside: Outside) -> Tensor:
        """Return the samples."""
        ctx.save_for_backward(image, index)
        ctx.outside = outside
        return _sample_in_parallel(image, index, outside, torch.get_num_threads())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients by image and by index."""
        image, index = ctx.saved_tensors
        gradients = _sample_backward(
            image, index, grads[0], ctx.outside, of_image=ctx.needs_input_grad[0]
        )
        return (*gradients, None)


def _sample_in_parallel(image: Tensor, index: Tensor, outside: Outside, parts: int) -> Tensor:
    """Return `sample` with the index split along its first axis into `parts` batch items.

    In 3-D, `grid_sample` is parallel over the batch only. The result is bit-identical to that of a
    single call.
    """
    rows = index.shape[2] // parts
    if rows == 0:
        return _grid_sample(image, index, outside)
    whole = rows * parts
    batch = index[0, :, :whole].reshape(3, parts, rows, *index.shape[3:]).movedim(1, 0)
    out = _grid_sample(image.expand(parts, *image.shape[1:]), batch, outside)
    out = out.movedim(0, 1).flatten(1, 2)[None]
    if whole < index.shape[2]:
        rest = _grid_sample(image, index[:, :, whole:], outside)
        out = torch.cat([out, rest], dim=2)
    return out
