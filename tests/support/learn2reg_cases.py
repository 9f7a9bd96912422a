"""Two phantom pairs with five fields each, which the official Learn2Reg evaluation was run on.

`python learn2reg_cases.py FOLDER` writes them as a Learn2Reg dataset with an evaluation config.
`learn2reg_official.json` contains the output of the official evaluation.py (Python 3.11, numpy
1.23.5, scipy 1.10.1, nibabel 5.2.1, evalutils 0.3.1; the file names the commit). There,
l2r_sdlogj_masked is sdlogj with `masked_evaluation` true, with numpy 2.3.5 and scipy 1.15.3.
"""

import csv
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from zoo.evaluation.learn2reg import displacement
from zoo.io.points import write_points
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import PhantomPair, make_pair

PAIRS = 2
FIELDS = ("true", "zero", "sign", "reversed", "mm")
LABELS = range(1, 13)


def phantom(k: int) -> PhantomPair:
    """Return pair k; the moving image of pair 2 lacks label 5."""
    pair = make_pair(
        30 + k, shape=(40, 36, 32), spacing=(1.4, 1.6, 1.5), axes="LAS", largest_mm=7.0
    )
    if k == 2:
        pair.moving_labels[pair.moving_labels == 5] = 1
    return pair


def five_fields(pair: PhantomPair) -> dict[str, np.ndarray]:
    """Return the fields by name, [X, Y, Z, 3] float32 in voxels."""
    true = displacement(pair.truth, pair.fixed_grid, pair.moving_grid)
    fields = {
        "true": true,
        "zero": np.zeros_like(true),
        "sign": -true,
        "reversed": true[..., ::-1],
        "mm": true * np.array(pair.fixed_grid.spacing),
    }
    return {name: np.ascontiguousarray(field, dtype=np.float32) for name, field in fields.items()}


def write_dataset(folder: Path) -> Path:
    """Write images, labels, masks, landmarks and fields; return the table of the pairs."""
    folders = ("imagesTr", "labelsTr", "keypointsTr", "masksTr")
    for name in (*folders, *FIELDS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows, pairs = [], []
    for k in range(1, PAIRS + 1):
        pair = phantom(k)
        row = {"points_space": "voxel"}
        for side, modality in (("fixed", 0), ("moving", 1)):
            stem = f"Phantom_{k:04d}_{modality:04d}"
            places = [f"{d}/{stem}{'.csv' if 'key' in d else '.nii.gz'}" for d in folders]
            grid = getattr(pair, f"{side}_grid")
            write_volume(folder / places[0], getattr(pair, side), grid)
            write_volume(folder / places[1], getattr(pair, f"{side}_labels"), grid)
            points = getattr(pair, f"{side}_points")
            write_points(folder / places[2], points, "voxel", grid, header=False)
            write_volume(folder / places[3], getattr(pair, f"{side}_labels").gt(0).byte(), grid)
            kinds = (side, *(f"{side}_{kind}" for kind in ("labels", "points", "mask")))
            row |= dict(zip(kinds, places, strict=True))
        rows.append(row)
        pairs.append({side: f"./{row[side]}" for side in ("fixed", "moving")})
        for name, field in five_fields(pair).items():
            image = nib.Nifti1Image(field, pair.fixed_grid.affine.numpy())
            nib.save(image, folder / name / f"disp_{k:04d}_0000_{k:04d}_0001.nii.gz")
    methods = [
        {"name": "l2r_sdlogj", "metric": "sdlogj"},
        {"name": "l2r_dice", "metric": "dice", "labels": list(LABELS)},
        {"name": "l2r_hd95", "metric": "hd95", "labels": list(LABELS)},
        {"name": "l2r_tre", "metric": "tre", "dest": "keypoints"},
    ]
    config = {
        "task_name": "Phantom",
        "evaluation_methods": methods,
        "expected_shape": [40, 36, 32, 3],
        "eval_pairs": pairs,
        "eval_config_version": 0.2,
        "masked_evaluation": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    table = folder / "pairs.csv"
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, sorted(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_dataset(Path(sys.argv[1]))
