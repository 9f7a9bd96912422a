"""GradICON registration networks: the published uniGradICON and multiGradICON.

Tian et al., "uniGradICON: A Foundation Model for Medical Image Registration" (MICCAI 2024);
Demir et al., "multiGradICON: A Foundation Model for Multimodal Medical Image Registration" (WBIR
2024). A registration module takes a moving and a fixed image [B, 1, X, Y, Z] and returns a map of
the unit cube from the fixed to the moving image. The names of the attributes are those of the
published state dict.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import UserError
from zoo.geometry.displacement_maps import (
    Composition,
    DisplacementMap,
    PointMap,
    displacement_in_voxels,
    resize_displacement,
    sample_unit_cube,
)
from zoo.networks.recolour import recoloured
from zoo.networks.unet import Precision, UNet

SMALLEST = 65
"""The smallest number of voxels per axis that the network accepts."""


class FunctionFromVectorField(nn.Module):
    """Turns the displacement that `net` predicts into a map."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, moving: Tensor, fixed: Tensor) -> PointMap:
        """Return the map x -> x + u(x) of two images [B, 1, X, Y, Z]."""
        return DisplacementMap(self.net(moving, fixed))


class TwoStep(nn.Module):
    """Runs `netPhi` first and `netPsi` on the warped image: the map is x -> phi(psi(x))."""

    def __init__(self, netPhi: nn.Module, netPsi: nn.Module) -> None:
        super().__init__()
        self.netPhi = netPhi
        self.netPsi = netPsi

    def forward(self, moving: Tensor, fixed: Tensor) -> PointMap:
        """Return the map of two images [B, 1, X, Y, Z]."""
        return _two_step(self.netPhi, self.netPsi, moving, fixed)


class Downsample(nn.Module):
    """Runs `net` on both images at half their size; a map of the unit cube needs no rescaling."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, moving: Tensor, fixed: Tensor) -> PointMap:
        """Return the map of two images [B, 1, X, Y, Z]."""
        small = [F.avg_pool3d(image, 2, ceil_mode=True) for image in (moving, fixed)]
        mapped: PointMap = self.net(*small)
        return mapped


class GradICON(nn.Module):
    """The network of uniGradICON: four U-Nets, at a quarter, half, full and full size.

    `width` is 16 for the published network and 4 for the compact one. With `precision` "bfloat16"
    the convolutions run in that type when no gradients are needed. Images are in [0, 1]; the
    published weights were trained on arrays in ITK's order, [Z, Y, X] of a nibabel volume.

    `size` is the grid of weights that were trained on a single grid. A finer pair is averaged down
    to it, and the resulting map is evaluated on the grid of the pair. With None the network takes a
    pair on its own grid. With `recolour` the network receives the moving image in the contrast of
    the fixed one, as compact weights for two modalities were trained.
    """

    def __init__(
        self,
        width: int = 16,
        precision: Precision = "float32",
        size: Sequence[int] | None = None,
        recolour: bool = False,
    ) -> None:
        super().__init__()
        self.recolour = recolour
        self.size = None if size is None else (size[0], size[1], size[2])
        if self.size is not None:
            _check_size(self.size)
        if precision not in ("float32", "bfloat16"):
            raise UserError(f"precision {precision!r} is unknown; choose float32 or bfloat16")

        def step() -> nn.Module:
            return FunctionFromVectorField(UNet(width, precision))

        quarter_and_half = TwoStep(Downsample(step()), step())
        self.netPhi = TwoStep(Downsample(quarter_and_half), step())
        self.netPsi = step()

    def forward(self, image: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Return the displacement [B, 3, X, Y, Z] in voxels of `image` [B, 2, X, Y, Z].

        Channel 0 is the moving image, channel 1 the fixed one: fixed(i) ~ moving(i + d(i)). With
        `shape` the displacement is on a lattice of that shape over the same field of view, in
        voxels of this lattice.
        """
        shape = tuple(image.shape[2:] if shape is None else shape)
        lattice = shape if self.size is None else self.size
        points = self.map(image[:, :1], image[:, 1:]).on_grid(lattice)
        return resize_displacement(displacement_in_voxels(points), shape)

    def both_directions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the displacement of `image` and that of the swapped pair.

        The second one is in voxels of the moving image: moving(i) ~ fixed(i + d(i)).
        """
        return self(image), self(image.flip(1))

    def map(self, moving: Tensor, fixed: Tensor) -> PointMap:
        """Return the map of two images [B, 1, X, Y, Z] as a function of points of the unit cube."""
        if moving.shape[1] != 1 or fixed.shape != moving.shape:
            raise UserError(
                "a GradICON network takes one moving and one fixed image of the same shape "
                f"[B, 1, X, Y, Z], not {list(moving.shape)} and {list(fixed.shape)}"
            )
        _check_size(fixed.shape[2:])
        return _two_step(self.netPhi, self.netPsi, *self.network_input(moving, fixed))

    def network_input(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """Return two images [B, 1, X, Y, Z] as the U-Nets take them: resized and recoloured."""
        if self.size is not None and self.size != tuple(fixed.shape[2:]):
            moving, fixed = (F.adaptive_avg_pool3d(image, self.size) for image in (moving, fixed))
        return (recoloured(moving, fixed) if self.recolour else moving), fixed


def _check_size(shape: Sequence[int]) -> None:
    if min(shape) < SMALLEST:
        raise UserError(
            f"a GradICON network needs at least {SMALLEST} voxels along each axis, but the images "
            f"have {'x'.join(map(str, shape))}; resize them, as the bundle does"
        )


def _two_step(net_phi: nn.Module, net_psi: nn.Module, moving: Tensor, fixed: Tensor) -> PointMap:
    """Return phi after psi, where psi aligns the moving image warped by phi with the fixed one."""
    phi = net_phi(moving, fixed)
    warped = sample_unit_cube(moving, phi.on_grid(fixed.shape[2:]))
    return Composition(phi, net_psi(warped, fixed))
