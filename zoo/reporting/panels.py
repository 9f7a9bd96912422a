"""The panels of a report: a registration before and after, on three planes of the fixed image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.datasets.pairs import Pair
from zoo.geometry import Grid, Transform, warp
from zoo.registration.result import RegisteredPair
from zoo.reporting.canvas import Pixels, paint, png_bytes
from zoo.reporting.deformation import grid_lines, line_distance, volume_change
from zoo.reporting.overlays import (
    INFERNO,
    checkerboard,
    coloured,
    difference,
    orange_blue,
    outlined,
)
from zoo.reporting.slices import Plane, Values, choose_planes, image_slices, label_slices


@dataclass(frozen=True)
class Strip:
    """Three planes side by side, as pixels [height, width, 3] with a title."""

    title: str
    pixels: Pixels

    def png(self) -> bytes:
        """Return the strip as a PNG file."""
        return png_bytes(self.pixels)


@dataclass(frozen=True)
class Panel:
    """Strips that belong together, with a title and a caption that explains them."""

    title: str
    caption: str
    strips: tuple[Strip, ...]


def draw_panels(registration: RegisteredPair) -> list[Panel]:
    """Draw all panels that the report shows of a registration."""
    pair, transform = registration.pair, registration.transform
    planes = choose_planes(pair.fixed)
    fixed = image_slices(pair.fixed, planes, Transform.identity())
    panels = _image_panels(pair, transform, planes, fixed)
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        panels.append(_label_panel(pair, transform, planes, fixed))
    panels.append(_deformation_panel(transform, planes, fixed))
    if registration.uncertainty is not None:
        brightest = registration.measured.figures["uncertainty_mm_p95"] or 1.0
        panels.append(
            _uncertainty_panel(registration.uncertainty, pair.fixed.grid, planes, brightest)
        )
    return panels


def _image_panels(
    pair: Pair, transform: Transform, planes: Sequence[Plane], fixed: Sequence[Values]
) -> list[Panel]:
    """Draw the images themselves and three ways to compare them."""
    before = image_slices(pair.moving[0], planes, Transform.identity())
    after = image_slices(pair.moving[0], planes, transform)

    def compared(compare: Callable[[Values, Values], Values]) -> tuple[Strip, Strip]:
        rows = [
            [compare(*c) for c in zip(fixed, moving, strict=True)] for moving in (before, after)
        ]
        return Strip("before", paint(planes, rows[0])), Strip("after", paint(planes, rows[1]))

    return [
        Panel(
            "Images",
            "Axial, coronal and sagittal planes through the centre of the fixed image's body. The "
            "patient's right is on the left.",
            (
                Strip("fixed", paint(planes, fixed)),
                Strip("moving, before", paint(planes, before)),
                Strip("moving, after", paint(planes, after)),
            ),
        ),
        Panel(
            "Overlay",
            "The fixed image is orange and the moving image is blue. Where both are equally "
            "bright, the overlay is grey.",
            compared(orange_blue),
        ),
        Panel(
            "Checkerboard",
            "Squares of the fixed and the moving image alternate. Edges should continue from one "
            "square to the next.",
            compared(checkerboard),
        ),
        Panel(
            "Difference",
            "Absolute difference of the images, each scaled to its own range. Black means equal. "
            "The difference does not vanish between images of different contrast.",
            compared(difference),
        ),
    ]


def _label_panel(
    pair: Pair, transform: Transform, planes: Sequence[Plane], fixed: Sequence[Values]
) -> Panel:
    """Draw the outlines of both label maps on the fixed image."""
    assert pair.fixed_labels is not None
    assert pair.moving_labels is not None
    fixed_labels = label_slices(pair.fixed_labels, planes, Transform.identity())
    strips = []
    for title, applied in (("before", Transform.identity()), ("after", transform)):
        moving_labels = label_slices(pair.moving_labels, planes, applied)
        cells = [outlined(*c) for c in zip(fixed, fixed_labels, moving_labels, strict=True)]
        strips.append(Strip(title, paint(planes, cells)))
    return Panel(
        "Label outlines",
        "The outlines of the fixed labels are orange and those of the moving labels are blue. They "
        "are white where they coincide.",
        tuple(strips),
    )


def _deformation_panel(
    transform: Transform, planes: Sequence[Plane], fixed: Sequence[Values]
) -> Panel:
    """Draw the deformed grid on the fixed image, and the volume change."""
    distance = line_distance(planes)
    cells = [
        grid_lines(transform, plane, distance, cell * 0.45)
        for plane, cell in zip(planes, fixed, strict=True)
    ]
    changes = paint(planes, [volume_change(transform, plane) for plane in planes])
    return Panel(
        "Deformation",
        f"Grid: straight lines of the moving image, {distance} mm apart, on the fixed image. "
        "Jacobian: volume change from the fixed to the moving image. Blue is half the volume, "
        "white is no change, red is twice the volume, and folded voxels are yellow.",
        (Strip("grid", paint(planes, cells)), Strip("Jacobian", changes)),
    )


def _uncertainty_panel(
    uncertainty: Tensor, grid: Grid, planes: Sequence[Plane], brightest: float
) -> Panel:
    """Draw the standard deviation [X, Y, Z] in mm on `grid` in colours, up to `brightest` mm."""
    cells = [
        warp(uncertainty[None], grid, plane.grid, Transform.identity())[0, :, :, 0] / brightest
        for plane in planes
    ]
    pictures = [coloured(cell.clamp(0, 1).T.numpy(), INFERNO) for cell in cells]
    return Panel(
        "Uncertainty",
        "Standard deviation of the displacement under small perturbations of the images. Black is "
        f"0 mm. Pale yellow is {brightest:.2g} mm, the 95th percentile in the body, or more.",
        (Strip("standard deviation", paint(planes, pictures)),),
    )
