"""What do brain masks and faults of the moving image change between two real brains?

    PYTHONPATH=tools python -m benchmarks.real_brains DATA
    PYTHONPATH=tools python -m benchmarks.real_brains DATA --only "1000, 1001, units"

DATA holds `brain_malf_oasis`. MCBO registers pairs of its brains at 3 mm: as they are, with masks
of one or both brains, and with the faults on which the verdict is calibrated, of which the mirrored
header exchanges left and right. The rows of a Markdown table are printed as they are measured.
`--only` restricts them to those whose pair and variant begin with the text.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import zoo
from benchmarks.harness.spoiled_pairs import FAULTS
from benchmarks.harness.tables import heading, row
from zoo.io.volume import Volume, read_volume

PAIRS = (("1000", "1001"), ("1000", "1003"), ("1001", "1003"))
TRIED_FAULTS = (
    "mirrored header",
    "header turned by 90 degrees",
    "header turned by 180 degrees",
    "units x10",
    "units x0.1",
    "noise",
    "half black",
)
"""The faults of `benchmarks.harness.spoiled_pairs` that are tried."""
SPACING = 3.0
"""Voxel size of the working grid in mm."""
NUMBERS = ("Dice", "mean mm", "affine NMI", "ratio", "similarity", "folding %")


def main() -> None:
    """Measure every variant of every pair."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the brains")
    parser.add_argument("--only", default="", help="begin of the pair and the variant to measure")
    args = parser.parse_args()
    print(heading(["pair", "variant", "verdict", "suspected fault"], NUMBERS), flush=True)
    for fixed, moving in PAIRS:
        folder = args.data / "brain_malf_oasis"
        images = {
            "fixed": read_volume(folder / f"{fixed}_t1.nii.gz"),
            "moving": read_volume(folder / f"{moving}_t1.nii.gz"),
            "fixed_labels": read_volume(folder / f"{fixed}_labels.nii.gz"),
            "moving_labels": read_volume(folder / f"{moving}_labels.nii.gz"),
        }
        pair = f"{fixed}, {moving}"
        for name, changed in variants(images):
            if f"{pair}, {name}".startswith(args.only):
                print(row([pair, name, *measure(changed)]), flush=True)


def variants(images: Mapping[str, Volume]) -> Iterator[tuple[str, dict[str, Volume]]]:
    """Yield the name and the images of each variant of a pair.

    The moving labels share the faults of the moving header.
    """
    masks = {f"{side}_mask": mask_of(images[side]) for side in ("fixed", "moving")}
    yield "as it is", dict(images)
    yield "mask of the fixed brain", {**images, "fixed_mask": masks["fixed_mask"]}
    yield "both masks", {**images, **masks}
    labelled = {f"{side}_mask": mask_of(images[f"{side}_labels"]) for side in ("fixed", "moving")}
    yield "both masks, from the labels", {**images, **labelled}
    for fault in TRIED_FAULTS:
        spoiled, _ = FAULTS[fault](images["moving"], 0)
        labels = replace(images["moving_labels"], grid=spoiled.grid)
        yield fault, {**images, "moving": spoiled, "moving_labels": labels}


def mask_of(brain: Volume) -> Volume:
    """Return where an image without its skull, or a label map, is above zero."""
    return replace(brain, data=(brain.data > 0).to(torch.uint8))


def measure(images: Mapping[str, Any]) -> list[str]:
    """Register the images, labels and masks of a pair and return the cells of its row."""
    with tempfile.TemporaryDirectory() as folder:
        found = zoo.register(
            **images, out=folder, model="mcbo", threads=1, settings={"spacing": SPACING}
        )
        result: Mapping[str, Any] = found.result
    figures, start = result["figures"], result["affine_start"]
    fault = next((w for w in result["warnings"] if "header fault" in w), "none")
    values = (
        (figures["dice_after"], 3),
        (figures["deformation_mm_mean"], 2),
        (start["similarity"][1], 4),
        (result["structure"]["ratio"], 2),
        (figures["similarity_after"], 3),
        (figures["folding_percent"], 4),
    )
    return [result["quality"], fault, *(f"{value:.{digits}f}" for value, digits in values)]


if __name__ == "__main__":
    main()
