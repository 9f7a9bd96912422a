"""The anatomy of a person: labels, and a CT if there is one; and how two persons are aligned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LABELS = 256


@dataclass(frozen=True)
class Anatomy:
    """A person on a regular grid.

    `labels` [X, Y, Z] is uint8, 0 outside the structures. `ct` [X, Y, Z] is in Hounsfield units
    (int16); without it, the labels cover the whole body. `spacing` [3] is in mm and on the CPU.
    Points are in mm from the centre of the first voxel, along the array axes.
    """

    labels: Tensor
    spacing: Tensor
    ct: Tensor | None = None

    def body(self) -> Tensor:
        """Return which voxels are in the body: [X, Y, Z], bool."""
        return self.labels > 0 if self.ct is None else self.ct > -500

    @cached_property
    def centres(self) -> Tensor:
        """The centre [256, 3] in mm of each label, on the CPU; NaN for label 0 and absent ones."""
        flat = self.labels.flatten().long()
        count = torch.bincount(flat, minlength=LABELS).double()
        centres = []
        for axis, n in enumerate(self.labels.shape):
            view = [1, 1, 1]
            view[axis] = n
            steps = torch.arange(n, dtype=torch.float64, device=flat.device).view(view)
            along = steps.expand(self.labels.shape).flatten()
            centres.append(torch.bincount(flat, along, minlength=LABELS) / count)
        out = torch.stack(centres, dim=1).cpu() * self.spacing
        out[0] = torch.nan
        return out

    def permuted(self, axes: Sequence[int]) -> Anatomy:
        """Return the person with axis k of the arrays from axis `axes[k]`."""
        order = list(axes)
        ct = None if self.ct is None else self.ct.permute(order).contiguous()
        return Anatomy(self.labels.permute(order).contiguous(), self.spacing[order], ct)


def box_mm(mask: Tensor, spacing: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest point [3] in mm of a mask [X, Y, Z] that is not empty."""
    ends = []
    for axis in range(3):
        others = [k for k in range(3) if k != axis]
        used = mask.any(dim=others[1]).any(dim=others[0]).nonzero()
        ends.append((int(used[0]), int(used[-1])))
    low, high = torch.tensor(ends, dtype=torch.float64).T
    return low * spacing, high * spacing


def aligning_affine(fixed: Tensor, moving: Tensor, stiffness: float = 100.0) -> Tensor:
    """Return the affine [4, 4] that maps the centres [256, 3] of fixed labels to the moving ones.

    It is the least-squares fit over the shared labels. `stiffness`, in mm^2 per label, holds its
    linear part at the identity, so that few or coplanar labels give little more than a shift.
    """
    shared = (fixed + moving).isfinite().all(dim=1)
    start, end = fixed[shared], moving[shared]
    out = torch.eye(4, dtype=torch.float64)
    if not len(start):
        return out
    first, second = start.mean(dim=0), end.mean(dim=0)
    a, b = start - first, end - second
    ridge = stiffness * len(a) * torch.eye(3, dtype=torch.float64)
    out[:3, :3] += torch.linalg.solve(a.T @ a + ridge, a.T @ (b - a)).T
    out[:3, 3] = second - out[:3, :3] @ first
    return out
