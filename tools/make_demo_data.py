"""Make the images of the demo, tools/demo_data, from the public data that they come from.

PYTHONPATH=.:tools python tools/make_demo_data.py --data FOLDER --out tools/demo_data

FOLDER holds hn_openkbp_val/pt_NNN_{ct,oars}.nii.gz and anatomy_synthseg/head_labels_NN.nii.gz.
tools/demo_data/README.md names the sources and their licences.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from benchmarks.harness.rendered_heads import Contrast, RenderedHead, label_map, render

from zoo.geometry import Grid
from zoo.io.volume import Volume, read_volume, write_volume

PATIENTS = {"fixed": 201, "moving": 207}
"""Two validation patients with the same coverage and six organs in common. No weights saw them."""
HEADS: Mapping[str, tuple[int, Contrast]] = {"fixed": (15, "t1"), "moving": (16, "t2")}
"""Two persons on whose label maps no weights were trained."""
NO_VALUE, MARGIN = -1024, 2
"""The Hounsfield units outside of a patient's region of interest, and the voxels around it."""
FACTOR = 2
"""Voxels of 1 mm that become one voxel along each axis of a rendered head."""


def main() -> None:
    """Write two CTs with their organs, and two rendered heads with their structures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder with the sources")
    parser.add_argument("--out", type=Path, default=Path("tools/demo_data"), help="output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for side, patient in PATIENTS.items():
        source = args.data / "hn_openkbp_val" / f"pt_{patient}"
        ct, organs = (read_volume(f"{source}_{kind}.nii.gz") for kind in ("ct", "oars"))
        for kind, volume in zip(("ct", "organs"), cropped(ct, organs), strict=True):
            write_volume(args.out / f"neck_{side}_{kind}.nii.gz", volume.data, volume.grid)
    for side, (person, contrast) in HEADS.items():
        head = render(label_map(args.data / "anatomy_synthseg", person), contrast, seed=person)
        image, structures, grid = coarser(head)
        write_volume(args.out / f"head_{side}_{contrast}.nii.gz", image, grid, torch.uint8)
        write_volume(args.out / f"head_{side}_structures.nii.gz", structures, grid, torch.uint8)


def cropped(ct: Volume, organs: Volume) -> tuple[Volume, Volume]:
    """Return a CT and its organs without the border where the CT has no values."""
    known = (ct.data > NO_VALUE).nonzero()
    first = (known.amin(dim=0) - MARGIN).clamp(min=0)
    last = known.amax(dim=0) + MARGIN
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
    affine = ct.grid.affine.clone()
    affine[:3, 3] += affine[:3, :3] @ first.to(affine.dtype)
    data = ct.data[box].contiguous()
    grid = Grid((data.shape[0], data.shape[1], data.shape[2]), affine)
    return Volume(data, grid, ct.path), Volume(organs.data[box].contiguous(), grid, organs.path)


def coarser(head: RenderedHead) -> tuple[torch.Tensor, torch.Tensor, Grid]:
    """Return image, structures and grid of a head with `FACTOR` times larger voxels.

    A voxel has the mean of the image and the most frequent structure of the voxels in it.
    """
    blocks, structures = _blocks(head.image), _blocks(head.structures)
    image = blocks.mean(axis=-1)
    labels = np.unique(head.structures)
    counts = np.stack([(structures == label).sum(axis=-1) for label in labels])
    affine = head.grid.affine.clone()
    middle = torch.full((3,), (FACTOR - 1) / 2, dtype=affine.dtype)
    affine[:3, 3] += affine[:3, :3] @ middle
    affine[:3, :3] *= FACTOR
    grid = Grid((image.shape[0], image.shape[1], image.shape[2]), affine)
    return torch.from_numpy(image), torch.from_numpy(labels[counts.argmax(axis=0)]), grid


def _blocks(array: np.ndarray) -> np.ndarray:
    """Return the voxels [X, Y, Z, FACTOR^3] of each block; an incomplete last block is left out."""
    x, y, z = (n // FACTOR for n in array.shape)
    whole = array[: x * FACTOR, : y * FACTOR, : z * FACTOR]
    split = whole.reshape(x, FACTOR, y, FACTOR, z, FACTOR).transpose(0, 2, 4, 1, 3, 5)
    return split.reshape(x, y, z, FACTOR**3)


if __name__ == "__main__":
    main()
