"""A small complete bundle: a U-Net that maps a pair to a displacement."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.networks.nets import UNet
from safetensors.torch import save_file

NETWORK = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 2,
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
}

INFERENCE = {
    "imports": ["$from safetensors.torch import load_file"],
    "bundle_root": ".",
    "dataset_dir": ".",
    "output_dir": "$@bundle_root + '/eval'",
    "device": "$torch.device('cpu')",
    "network_def": NETWORK,
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": ["moving", "fixed"], "reader": "NibabelReader"},
            {"_target_": "EnsureChannelFirstd", "keys": ["moving", "fixed"]},
            {"_target_": "ConcatItemsd", "keys": ["moving", "fixed"], "name": "image"},
        ],
    },
    "dataset": {
        "_target_": "Dataset",
        "data": [
            {
                "moving": "$@dataset_dir + '/moving.nii'",
                "fixed": "$@dataset_dir + '/fixed.nii'",
            }
        ],
        "transform": "@preprocessing",
    },
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_ext": ".nii",
        "output_postfix": "field",
        "separate_folder": False,
        "resample": False,
        "print_log": False,
    },
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network_def",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
    },
    # Not in `initialize`: monai.bundle.load runs that in whatever folder the user is in.
    "run": [
        "$@network_def.load_state_dict(load_file(@bundle_root + '/models/model.safetensors'))",
        "$@evaluator.run()",
    ],
}

METADATA = {
    "version": "0.1.0",
    "changelog": {"0.1.0": "first"},
    "monai_version": "1.5.1",
    "pytorch_version": "2.8.0",
    "numpy_version": "1.26.0",
    "required_packages_version": {},
    "task": "registration",
    "description": "a test",
    "authors": "nobody",
    "copyright": "none",
    "license": "Apache-2.0",
    "modalities": ["CT", "MR"],
    "anatomies": ["upper leg"],
    "metrics": ["tre"],
    "references": ["Somebody, arXiv:2403.05780"],
    "network_data_format": {},
}


def make_bundle(folder: Path) -> Path:
    """Write the bundle with random weights, and files beside it that are not part of a bundle."""
    for name in ("configs", "docs", "models", "eval"):
        (folder / name).mkdir(parents=True)
    torch.manual_seed(0)
    network = UNet(**{k: v for k, v in NETWORK.items() if k != "_target_"})
    save_file(network.state_dict(), folder / "models" / "model.safetensors")
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    (folder / "configs" / "inference.json").write_text(json.dumps(INFERENCE))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "docs" / "README.md").write_text("# Tiny\n\nA test.\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    (folder / "eval" / "patient.nii").write_bytes(b"private")
    (folder / "patients.csv").write_text("private")
    return folder


def make_pair(folder: Path) -> Path:
    """Write two phantoms on an oblique, anisotropic grid."""
    folder.mkdir(parents=True)
    affine = np.array([[0, -2, 0.3, 5], [1, 0, 0, -7], [0, 0.2, 3, 1], [0, 0, 0, 1]], float)
    i, j, k = np.mgrid[:16, :12, :8]
    for name, centre in (("fixed", 6.0), ("moving", 8.0)):
        image = np.exp(-((i - centre) ** 2 + (j - 6) ** 2 + (k - 4) ** 2) / 20)
        nib.save(nib.Nifti1Image(image.astype(np.float32), affine), folder / f"{name}.nii")
    return folder
