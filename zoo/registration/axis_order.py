"""The order of the spatial axes that a network was trained on, and the way back."""

from __future__ import annotations

from torch import Tensor

AxisOrder = tuple[int, int, int]

ITK_ORDER: AxisOrder = (2, 1, 0)


def reordered(tensor: Tensor, order: AxisOrder) -> Tensor:
    """Return [B, C, X, Y, Z] with its spatial axes in another order: new axis k is `order[k]`."""
    return tensor.permute(0, 1, *[2 + axis for axis in order]).contiguous()


def restored(field: Tensor, order: AxisOrder) -> Tensor:
    """Undo `reordered` for a displacement [B, 3, ...], whose components go with the axes."""
    back = [order.index(axis) for axis in range(3)]
    return field.permute(0, 1, *[2 + axis for axis in back])[:, back].contiguous()
