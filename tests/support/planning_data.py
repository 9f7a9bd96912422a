"""Small datasets on disk for the tests of planning."""

import json

import nibabel as nib
import numpy as np
import torch

from zoo.io.points import write_points
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair


def write_learn2reg(root, *, cases=(1, 2), contrasts=("t1", "ct"), points=True, **more):
    """Write phantoms as Learn2Reg does: slot 0 fixed, slot 1 moving, labels and key points."""
    for folder in ("imagesTr", "labelsTr", "keypointsTr"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    pairs = []
    for case in cases:
        made = make_pair(case, contrasts=contrasts, **({"shape": (30, 34, 28)} | more))
        sides = (
            (made.fixed, made.fixed_labels, made.fixed_points, made.fixed_grid),
            (made.moving, made.moving_labels, made.moving_points, made.moving_grid),
        )
        for slot, (image, labels, points_mm, grid) in enumerate(sides):
            name = f"Ph_{case:04d}_{slot:04d}"
            write_volume(root / "imagesTr" / f"{name}.nii.gz", image, grid, torch.int16)
            write_volume(root / "labelsTr" / f"{name}.nii.gz", labels, grid)
            if points:
                path = root / "keypointsTr" / f"{name}.csv"
                write_points(path, points_mm, "voxel", grid, header=False)
        names = [f"./imagesTr/Ph_{case:04d}_{slot:04d}.nii.gz" for slot in (0, 1)]
        pairs.append(dict(zip(("fixed", "moving"), names, strict=True)))
    declared = {"ct": "CT"}
    document = {
        "name": "Phantoms",
        "modality": {str(k): declared.get(c, "MR") for k, c in enumerate(contrasts)},
        "labels": {str(k): f"structure {k}" for k in range(1, 13)},
        "numTraining": 2 * len(pairs),
        "training": [{"image": pair[side]} for pair in pairs for side in pair],
        "numRegistration_val": len(pairs),
        "registration_val": pairs,
    }
    write_document(root, document)
    return document


def write_document(root, document):
    (root / "dataset.json").write_text(json.dumps(document), encoding="utf-8")


def nifti(path, data=None, *, affine=None, dtype=None, **header):
    """Write `data` (smooth int16 noise by default) and set header fields as named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if data is None:
        data = np.random.default_rng(0).integers(0, 1000, (24, 22, 20)).astype(np.int16)
    affine = np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine
    image = nib.Nifti1Image(np.asarray(data), affine, dtype=dtype)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    image.header.set_xyzt_units("mm")
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path
