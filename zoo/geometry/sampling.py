"""Reading a volume between its voxels: linear, nearest and cubic.

Coordinates are voxel indices of the volume that is read, float, shape [B, 3, x, y, z], component
k along array axis k; (0, 0, 0) is the centre of the first voxel. The reversal of axes and the
scaling that `grid_sample` wants happen in `_cube_grid` and nowhere else.
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
    """Return each voxel's own index: [1, 3, X, Y, Z], voxels, component k along axis k."""
    axes = [torch.arange(n, device=device, dtype=dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def affine_index(matrix: Tensor, shape: Sequence[int], *, start: int = 0) -> Tensor:
    """Return `matrix @ index` for every voxel of a grid: [1, 3, X, Y, Z], voxels.

    `matrix` is 4x4; `start` is added to the first index, so that a slab of a larger grid can be
    asked for. Three broadcast sums instead of a matrix product a voxel.
    """
    offsets = (float(start), 0.0, 0.0)
    rows = []
    for k in range(3):
        terms = []
        for j, n in enumerate(shape):
            view = [1, 1, 1]
            view[j] = n
            steps = torch.arange(n, device=matrix.device, dtype=torch.float64) + offsets[j]
            terms.append((matrix[k, j].double() * steps).view(view))
        terms[0] = terms[0] + matrix[k, 3].double()
        rows.append(terms[0].float() + (terms[1] + terms[2]).float())
    return torch.stack(rows)[None]


def sample(image: Tensor, index: Tensor, *, outside: Outside = "border") -> Tensor:
    """Interpolate `image` [B, C, X, Y, Z] linearly at `index` [B, 3, x, y, z] -> [B, C, x, y, z].

    Beyond the outermost voxel centres "border" repeats the edge and "zeros" fades to zero over one
    voxel, as `grid_sample` does. A batch of one image or one index is expanded to the other's.
    """
    batch = max(len(image), len(index))
    threads = torch.get_num_threads()
    if batch == 1 and image.device.type == "cpu" and threads > 1:
        found: Tensor = _InParallel.apply(image, index, outside)  # type: ignore[no-untyped-call]
        return found
    image = image.expand(batch, *image.shape[1:])
    index = index.expand(batch, *index.shape[1:])
    return _grid_sample(image, index, outside)


def inside(index: Tensor, shape: Sequence[int]) -> Tensor:
    """Say which of `index` [B, 3, x, y, z] lie in a volume's voxels: [B, 1, x, y, z], bool.

    A voxel reaches half a step beyond its centre, its upper end left out, as in ITK.
    """
    within = (index[:, 0] + 0.5 >= 0) & (index[:, 0] < shape[0] - 0.5)
    for k in (1, 2):
        within &= (index[:, k] + 0.5 >= 0) & (index[:, k] < shape[k] - 0.5)
    return within[:, None]


def sample_gradient(
    image: Tensor, index: Tensor, weight: Tensor, *, outside: Outside = "border"
) -> Tensor:
    """Return the gradient of sum(weight * sample(image, index)) by `index`: [1, 3, x, y, z].

    `image` is [1, C, X, Y, Z], `index` [1, 3, x, y, z], `weight` [1, C, x, y, z]. No autograd graph
    is needed. On a CPU the index is split along its first axis, one part a thread.
    """
    return _sample_backward(image, index, weight, outside, of_image=False)[1]


def sample_nearest(image: Tensor, index: Tensor, *, fill: float = 0) -> Tensor:
    """Read `image` [1, C, X, Y, Z] of any dtype at the nearest voxel of `index` [1, 3, x, y, z].

    Exact for every integer type (no detour through float32). A point that is half-way goes up, and
    one outside all voxels gives `fill`, as in ITK.
    """
    shape = image.shape[2:]
    nearest = [torch.floor(index[0, k] + 0.5).long() for k in range(3)]
    inside = torch.ones_like(nearest[0], dtype=torch.bool)
    flat = torch.zeros_like(nearest[0])
    for position, n in zip(nearest, shape, strict=True):
        inside &= (position >= 0) & (position < n)
        flat = flat * n + position.clamp_(0, n - 1)
    out = image[0].flatten(1)[:, flat.flatten()].view(-1, *flat.shape)
    return out.masked_fill_(~inside, fill)[None]


def sample_cubic(coefficients: Tensor, index: Tensor) -> Tensor:
    """Evaluate a B-spline given by `spline_coefficients` [B, C, X, Y, Z] at [B, 3, x, y, z].

    Two linear reads an axis, placed so that their blend is the four-tap spline: eight calls of
    `sample` instead of 64 gathers. A point outside is moved to the edge first.
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
    """Return the cubic B-spline coefficients of `image` [B, C, X, Y, Z], mirrored at the border.

    One product with the inverse of the small tridiagonal matrix an axis: exact, and the same on
    every device.
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
    """Add one mirrored voxel at both ends of each axis of [B, C, X, Y, Z]."""
    for axis in range(2, 5):
        n = image.shape[axis]
        ends = [min(1, n - 1), max(n - 2, 0)]
        first, last = (image.narrow(axis, end, 1) for end in ends)
        image = torch.cat([first, image, last], dim=axis)
    return image


def _cube_grid(index: Tensor, shape: Sequence[int]) -> Tensor:
    """Turn voxel indices [B, 3, x, y, z] into what `grid_sample(align_corners=True)` reads."""
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
    """Return the gradients of sum(weight * sample(image, index)) by image, if asked, and by index.

    On a CPU the index is split along its first axis, one part a thread.
    """
    rows = index.shape[2]
    parts = torch.get_num_threads() if image.device.type == "cpu" else 1
    parts = max(1, min(parts, rows))
    whole = rows - rows % parts
    found = [
        _part_backward(image, index[:, :, part], weight[:, :, part], outside, count, of_image)
        for part, count in ((slice(0, whole), parts), (slice(whole, rows), 1))
        if part.start < part.stop
    ]
    scale = torch.tensor([2 / max(n - 1, 1) for n in image.shape[2:]], device=image.device)
    by_index = torch.cat([by_cube for _, by_cube in found], 2) * scale.view(1, 3, 1, 1, 1)
    by_image = [by_image for by_image, _ in found if by_image is not None]
    for more in by_image[1:]:
        by_image[0] += more
    return (by_image[0] if by_image else None), by_index


def _part_backward(
    image: Tensor, index: Tensor, weight: Tensor, outside: Outside, parts: int, of_image: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients by the image and by the cube coordinates, in array-axis order.

    The index goes in `parts` batch items.
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


class _InParallel(torch.autograd.Function):
    """`grid_sample` of one volume on all threads of a CPU, with both gradients."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, index: Tensor, outside: Outside) -> Tensor:
        """Sample the parts of the index, one a thread."""
        ctx.save_for_backward(image, index)
        ctx.outside = outside
        return _sample_in_parallel(image, index, outside, torch.get_num_threads())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """Return the gradients by image and index."""
        image, index = ctx.saved_tensors
        found = _sample_backward(
            image, index, grads[0], ctx.outside, of_image=ctx.needs_input_grad[0]
        )
        return (*found, None)


def _sample_in_parallel(image: Tensor, index: Tensor, outside: Outside, parts: int) -> Tensor:
    """Split the index along its first axis into batch items, one a thread.

    `grid_sample` in 3-D works in parallel over the batch only; each voxel's value is bit for bit
    that of one call.
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
