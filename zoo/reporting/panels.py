"""Pictures of a registration, before and after, on three planes of the fixed image."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from zoo.geometry import Grid, Transform, jacobian_determinant, warp
from zoo.io.atomic import atomic_path
from zoo.io.volume import Volume
from zoo.registration.result import RegisteredPair
from zoo.reporting.slices import GAP, Plane, choose_planes

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

DPI = 100
THUMBNAIL = 420  # pixels wide

FIXED_COLOUR = (1.0, 0.66, 0.12)
MOVED_COLOUR = (0.20, 0.72, 1.0)
FOLD_COLOUR = (1.0, 0.90, 0.0)


@dataclass(frozen=True)
class Strip:
    """Three planes side by side: what they show, and [height, width, 3]."""

    title: str
    pixels: Pixels

    def png(self) -> bytes:
        """Return the strip as a PNG file."""
        return png_bytes(self.pixels)


@dataclass(frozen=True)
class Panel:
    """Strips that belong together, with a title and a sentence on how to read them."""

    title: str
    caption: str
    strips: tuple[Strip, ...]


def draw_panels(registration: RegisteredPair) -> list[Panel]:
    """Draw everything the report shows of a registration."""
    pair, transform = registration.pair, registration.transform
    planes = choose_planes(pair.fixed)
    moving = pair.moving[0]
    fixed = scaled(pair.fixed, planes, Transform.identity())
    before = scaled(moving, planes, Transform.identity())
    after = scaled(moving, planes, transform)

    def strip(title: str, cells: Sequence[Values], draw: Draw | None = None) -> Strip:
        return Strip(title, paint(planes, cells, draw))

    def both(compare: Callable[[Values, Values], Values]) -> tuple[Strip, Strip]:
        return (
            strip("before", [compare(f, m) for f, m in zip(fixed, before, strict=True)]),
            strip("after", [compare(f, m) for f, m in zip(fixed, after, strict=True)]),
        )

    panels = [
        Panel(
            "Images",
            "Axial, coronal and sagittal planes through the middle of the fixed image's body, "
            "the patient's right on the left.",
            (strip("fixed", fixed), strip("moving, before", before), strip("moving, after", after)),
        ),
        Panel(
            "Overlay",
            "Fixed image in red, moving image in green; where both are equally bright: yellow.",
            both(red_green),
        ),
        Panel(
            "Checkerboard",
            "Squares of the fixed and the moving image in turn; edges should run on.",
            both(checkerboard),
        ),
        Panel(
            "Difference",
            "Absolute difference, each image scaled to its own range; black is equal. "
            "Between two contrasts it does not vanish.",
            both(difference),
        ),
    ]
    if pair.fixed_labels is not None and pair.moving_labels is not None:
        held = _labels(pair.fixed_labels, planes, Transform.identity())
        maps = (Transform.identity(), transform)
        moved = [_labels(pair.moving_labels, planes, t) for t in maps]
        found = [[outlined(*c) for c in zip(fixed, held, m, strict=True)] for m in moved]
        caption = "Outlines of the fixed labels in orange, of the moving ones in blue; both: white."
        strips = (strip("before", found[0]), strip("after", found[1]))
        panels.append(Panel("Label outlines", caption, strips))
    panels.append(_deformation(planes, fixed, transform))
    return panels


def write_thumbnail(registration: RegisteredPair, path: Path, width: int = THUMBNAIL) -> None:
    """Write a small picture: the overlay before and, below it, after the registration."""
    from PIL import Image

    pair = registration.pair
    planes = choose_planes(pair.fixed, width)
    fixed = scaled(pair.fixed, planes, Transform.identity())
    rows = []
    for transform in (Transform.identity(), registration.transform):
        moved = scaled(pair.moving[0], planes, transform)
        rows.append(paint(planes, [red_green(f, m) for f, m in zip(fixed, moved, strict=True)]))
        rows.append(np.full((GAP, rows[0].shape[1], 3), 255, dtype=np.uint8))
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(rows[:-1])).save(temporary, "JPEG", quality=82)


def scaled(volume: Volume, planes: Sequence[Plane], transform: Transform) -> list[Values]:
    """Return a volume on the planes, its percentiles 0.5 to 99.5 scaled to 0..1: [rows, columns].

    Where the volume does not reach it is 0.
    """
    data = volume.data
    skip = max(1, round((data.numel() / 200_000) ** (1 / 3)))
    some = data[::skip, ::skip, ::skip].flatten().float()
    low, high = torch.quantile(some, torch.tensor([0.005, 0.995])).tolist()
    if not high > low:
        low, high = float(data.min()), float(data.max())
    width = max(high - low, 1e-12)
    cells = [
        warp(data[None], volume.grid, plane.grid, transform, fill=low)[0, :, :, 0]
        for plane in planes
    ]
    return [((cell - low) / width).clamp(0, 1).T.numpy() for cell in cells]


def _labels(volume: Volume, planes: Sequence[Plane], transform: Transform) -> list[Values]:
    return [
        warp(volume.data[None], volume.grid, p.grid, transform, interpolation="nearest")[0, :, :, 0]
        .T.float()
        .numpy()
        for p in planes
    ]


def red_green(fixed: Values, moving: Values) -> Values:
    """Return the fixed image in red and the moving one in green: [rows, columns, 3]."""
    return np.stack([fixed, moving, np.zeros_like(fixed)], axis=-1)


def checkerboard(fixed: Values, moving: Values, squares: int = 7) -> Values:
    """Return squares of one image and the other in turn, about `squares` along the longer side."""
    side = max(1, round(max(fixed.shape) / squares))
    rows, columns = np.indices(fixed.shape) // side
    return np.where((rows + columns) % 2 == 0, fixed, moving)


def difference(fixed: Values, moving: Values) -> Values:
    """Return |fixed - moving| in colours from black to white: [rows, columns, 3]."""
    return _coloured(np.abs(fixed - moving), "inferno")


def outlined(image: Values, fixed: Values, moved: Values) -> Values:
    """Return an image with the outlines of two label maps: [rows, columns, 3]."""
    out = np.repeat(image[..., None] * 0.8, 3, axis=-1)
    one, two = edges(fixed), edges(moved)
    out[one], out[two], out[one & two] = FIXED_COLOUR, MOVED_COLOUR, (1.0, 1.0, 1.0)
    return out


def edges(labels: Values) -> NDArray[np.bool_]:
    """Say which pixels differ from a neighbour at their side, above or below."""
    out = np.zeros(labels.shape, dtype=bool)
    aside, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    out[:, :-1] |= aside
    out[:, 1:] |= aside
    out[:-1] |= down
    out[1:] |= down
    return out


def _coloured(values: Values, name: str) -> Values:
    return np.asarray(colormaps[name](values)[..., :3], dtype=np.float32)


def _deformation(planes: Sequence[Plane], fixed: Sequence[Values], transform: Transform) -> Panel:
    """Draw the moving image's straight lines where the map brings them, and the volume change."""
    across = max(
        n * s for p in planes for n, s in zip(p.grid.shape[:2], p.grid.spacing, strict=False)
    )
    step = next((s for s in (1, 2, 5, 10, 20, 50) if across / s < 30), 100)
    lines = paint(planes, [f * 0.45 for f in fixed], _grid_lines(transform, step))
    changes = [volume_change(transform, plane) for plane in planes]
    return Panel(
        "Deformation",
        f"Grid: straight lines of the moving image, {step} mm apart, on the fixed image. Jacobian: "
        "volume change from fixed to moving; blue halves it, white keeps it, red doubles it, and "
        "folded voxels are yellow.",
        (Strip("grid", lines), Strip("Jacobian", paint(planes, changes))),
    )


def volume_change(transform: Transform, plane: Plane) -> Values:
    """Return the Jacobian determinant on a plane in colours, folded voxels marked."""
    determinant = jacobian_determinant(transform, plane.slab).cpu()
    change = torch.eye(4, dtype=torch.float64)
    change[plane.axis, 3] = plane.layer
    layer = determinant.narrow(plane.axis, plane.layer, 1)
    place = Grid((layer.shape[0], layer.shape[1], layer.shape[2]), plane.slab.affine @ change)
    seen = warp(layer[None], place, plane.grid, Transform.identity(), interpolation="nearest")
    values = seen[0, :, :, 0].T.numpy()
    out = _coloured(np.log2(np.clip(values, 0.5, 2)) / 2 + 0.5, "RdBu_r")
    out[values <= 0] = FOLD_COLOUR
    return out


Draw = Callable[[Axes, Plane], None]


def _grid_lines(transform: Transform, step: float) -> Draw:
    """Return what draws the moving world's lattice, `step` mm wide, onto a plane."""

    def draw(axes: Axes, plane: Plane) -> None:
        unit = plane.slab.affine.clone()
        unit[:3, :3] /= torch.tensor(plane.slab.spacing).double()
        there = transform.moving_index(plane.grid, Grid((1, 1, 1), unit))[0, :, :, :, 0].cpu()
        for k in range(3):
            if k == plane.axis:
                continue
            values = there[k].T.numpy()
            levels = np.arange(np.ceil(values.min() / step), values.max() / step) * step
            if 0 < len(levels) < 200:
                axes.contour(values, levels=levels, colors="#f2f2f2", linewidths=0.6)

    return draw


def paint(planes: Sequence[Plane], cells: Sequence[Values], draw: Draw | None = None) -> Pixels:
    """Put three planes side by side, with letters for the directions: [height, width, 3].

    Cells are [rows, columns] or [rows, columns, 3] in 0..1.
    """
    height = max(plane.grid.shape[1] for plane in planes)
    width = sum(plane.grid.shape[0] for plane in planes) + GAP * (len(planes) - 1)
    canvas = blank_canvas(width, height, "black")
    figure = canvas.figure
    ground = np.zeros((height, width, 3), dtype=np.uint8)
    left = 0
    for plane, cell in zip(planes, cells, strict=True):
        columns, rows = plane.grid.shape[:2]
        top = (height - rows) // 2
        colours = cell if cell.ndim == 3 else cell[..., None]
        ground[top : top + rows, left : left + columns] = (colours * 255 + 0.5).astype(np.uint8)
        box = (left / width, (height - top - rows) / height, columns / width, rows / height)
        axes = figure.add_axes(box)
        axes.set_axis_off()
        axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        if draw is not None:
            draw(axes, plane)
        _letters(axes, plane.letters)
        left += columns + GAP
    figure.figimage(ground, 0, 0, origin="upper", zorder=-1)  # under lines and letters
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def blank_canvas(width: int, height: int, colour: str) -> FigureCanvasAgg:
    """Return a canvas of so many pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=colour)
    return FigureCanvasAgg(figure)


def _letters(axes: Axes, letters: str) -> None:
    places = [(0.015, 0.5, "left", "center"), (0.985, 0.5, "right", "center")]
    places += [(0.5, 0.985, "center", "top"), (0.5, 0.015, "center", "bottom")]
    for letter, (x, y, across, down) in zip(letters, places, strict=True):
        text = axes.text(x, y, letter, ha=across, va=down, transform=axes.transAxes)
        text.set(color="white", fontsize=10, fontfamily="DejaVu Sans", alpha=0.85)
        text.set_bbox({"facecolor": "black", "alpha": 0.35, "pad": 1, "linewidth": 0})


def png_bytes(pixels: Pixels) -> bytes:
    """Return [height, width, 3] as a PNG file; a grey picture is stored as one."""
    from PIL import Image

    grey = bool((pixels == pixels[..., :1]).all())
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if grey else pixels).save(out, "PNG", compress_level=4)
    return out.getvalue()


def contact_sheet(title: str, lines: Sequence[str], panels: Sequence[Panel]) -> Pixels:
    """Put all strips on one white page, two a row, with lines of text in the first free place."""
    rows = [
        (p.title, list(p.strips[k : k + 2])) for p in panels for k in range(0, len(p.strips), 2)
    ]
    high, wide = panels[0].strips[0].pixels.shape[:2]
    margin, top, heading = 36, 84, 44
    width = 2 * wide + 3 * margin
    height = top + len(rows) * (high + heading) + margin
    canvas = blank_canvas(width, height, "white")
    figure = canvas.figure

    def write(x: float, y: float, text: str, size: float, weight: str = "normal") -> None:
        place = (x / width, 1 - y / height)
        style: dict[str, Any] = {"fontsize": size, "weight": weight, "fontfamily": "DejaVu Sans"}
        figure.text(*place, text, color="#1d2733", va="top", parse_math=False, **style)

    write(margin, 28, title, 17, "bold")
    written = False
    for k, (name, strips) in enumerate(rows):
        y = top + k * (high + heading)
        for j, strip in enumerate(strips):
            x = margin + j * (wide + margin)
            write(x, y, f"{name}: {strip.title}", 10.5)
            figure.figimage(strip.pixels, x, height - y - 24 - high, origin="upper")
        if len(strips) == 1 and not written:
            written = True
            for n, line in enumerate(lines[: high // 22]):
                write(2 * margin + wide, y + 30 + 22 * n, line, 11)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
