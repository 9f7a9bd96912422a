"""Change of the order of the spatial axes to the one that a network was trained on, and back."""

from __future__ import annotations

from torch import Tensor

AxisOrder = tuple[int, int, int]

ITK_ORDER: AxisOrder = (2, 1, 0)


def reordered(tensor: Tensor, order: AxisOrder) -> Tensor:
    """Permute the spatial axes of [B, C, X, Y, Z]: axis k of the result is axis `order[k]`."""
    return tensor.permute(0, 1, *[2 + axis for axis in order]).contiguous()


def restored(field: Tensor, order: AxisOrder) -> Tensor:
    """Undo `reordered` for a displacement [B, 3, ...]: its components are permuted as its axes."""
    back = [order.index(axis) for axis in range(3)]
    return field.permute(0, 1, *[2 + axis for axis in back])[:, back].contiguous()
