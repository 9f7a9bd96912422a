"""Draw the moving picture of the README from a registration of the demo.

python tools/demo_picture.py --result demo/neck-mcbo --out docs/images/demo.gif

The left half shows the fixed image with the outlines of its labels. The right half shows the moving
image while its transform grows from none to all of it, with the outlines of both images' labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from zoo.datasets.pairs import Pair, load_pair
from zoo.evaluation.cases import case_of_result
from zoo.evaluation.metrics import measure
from zoo.geometry import Transform
from zoo.io.atomic import atomic_path
from zoo.io.transforms import read_transform
from zoo.reporting.canvas import Pixels, font, paint
from zoo.reporting.overlays import checkerboard, outlined
from zoo.reporting.slices import Plane, Values, choose_planes, image_slices, label_slices

WIDTH = 1050  # pixels of the three planes from which two are drawn
STEPS = 12
"""Pictures between the moving image and the warped one."""
MILLISECONDS, HELD = 110, 1500
COLOURS = 96
GAP, LINE = 10, 26  # pixels between the halves, and of the line of text


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--result", type=Path, required=True, help="folder of a registration")
    parser.add_argument("--out", type=Path, required=True, help="the .gif to write")
    args = parser.parse_args()
    case = case_of_result(args.result)
    frames, milliseconds = draw(load_pair(case.files), read_transform(case.field))
    write_gif(frames, milliseconds, args.out)
    print(f"{args.out}: {len(frames)} pictures, {args.out.stat().st_size / 1e6:.2f} MB")


def draw(pair: Pair, transform: Transform, steps: int = STEPS) -> tuple[list[Pixels], list[int]]:
    """Return the pictures, and how long each is shown in milliseconds."""
    if pair.fixed_labels is None or pair.moving_labels is None:
        raise SystemExit("the registration needs labels of both images")
    planes = choose_planes(pair.fixed_labels, WIDTH)[1:]  # coronal and sagittal
    fixed = image_slices(pair.fixed, planes, Transform.identity())
    fixed_labels = label_slices(pair.fixed_labels, planes, Transform.identity())
    left = picture(planes, fixed, fixed_labels, fixed_labels)
    displacement = transform.dense_on(pair.fixed.grid)
    assert displacement.field is not None
    frames, milliseconds = [], []
    for share in np.linspace(0, 1, steps + 1):
        part = Transform(torch.eye(4), float(share) * displacement.field, displacement.grid)
        moving = image_slices(pair.moving[0], planes, part)
        moving_labels = label_slices(pair.moving_labels, planes, part)
        dice = measure(pair, part, None).figures["dice_after"]
        word = {0.0: "moving image", 1.0: "warped image"}.get(float(share), f"{share:.0%} warped")
        right = picture(planes, moving, fixed_labels, moving_labels)
        frames.append(beside(left, right, "fixed image", f"{word}: Dice {dice:.2f}"))
        milliseconds.append(HELD if share in (0, 1) else MILLISECONDS)
    cells = [checkerboard(*pair_) for pair_ in zip(fixed, moving, strict=True)]
    board = paint(planes, cells)
    frames.append(beside(left, board, "fixed image", "checkerboard of fixed and warped image"))
    milliseconds.append(HELD)
    return frames, milliseconds


def picture(
    planes: Sequence[Plane],
    image: Sequence[Values],
    fixed_labels: Sequence[Values],
    moving_labels: Sequence[Values],
) -> Pixels:
    """Return the planes of an image with the outlines of two label maps."""
    cells = zip(image, fixed_labels, moving_labels, strict=True)
    return paint(planes, [outlined(*cell) for cell in cells])


def beside(left: Pixels, right: Pixels, left_text: str, right_text: str) -> Pixels:
    """Return two pictures side by side, each with a line of text below it."""
    height, width = left.shape[:2]
    image = Image.new("RGB", (2 * width + GAP, height + LINE), "white")
    draw = ImageDraw.Draw(image)
    for pixels, text, start in ((left, left_text, 0), (right, right_text, width + GAP)):
        image.paste(Image.fromarray(pixels), (start, 0))
        place = (start + width / 2, height + LINE / 2)
        draw.text(place, text, "black", font(15), "mm")
    return np.array(image)


def write_gif(frames: Sequence[Pixels], milliseconds: Sequence[int], path: Path) -> None:
    """Write an endless GIF with one palette for all pictures."""
    together = Image.fromarray(np.concatenate(frames))
    palette = together.quantize(COLOURS, dither=Image.Dither.NONE)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    with atomic_path(path) as temporary:
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            duration=list(milliseconds),
            loop=0,
            optimize=True,
        )


if __name__ == "__main__":
    main()
