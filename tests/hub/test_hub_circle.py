"""The full circle with a bundle of the zoo: checkpoint, weights, Hub, MONAI, the same transform."""

from __future__ import annotations

import json
import shutil

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from hub_cases import finish

from zoo.hub.places import packaged_bundles
from zoo.hub.pull import pull
from zoo.hub.push import plan_push, push
from zoo.hub.weights import find_weights
from zoo.networks.unireg import UniReg

SETTINGS = {
    "size": [32, 32, 32],
    "region": "abdomen",
    "fixed_modality": "ct",
    "moving_modality": "ct",
    "affine": "none",
    "device": "$torch.device('cpu')",
    "report": False,
    "bar": False,
}

THEIRS = """
import json, sys, monai.bundle
place, settings = sys.argv[1], json.loads(sys.argv[2])
monai.bundle.download(name="unireg", source="huggingface_hub", repo="me/unireg", version="0.1.0",
                      bundle_dir=place, progress=False)
monai.bundle.run(config_file=place + "/unireg/configs/inference.json",
                 bundle_root=place + "/unireg", **settings)
"""


@pytest.fixture
def pair(tmp_path):
    """Two blobs on an oblique, anisotropic grid; the moving one lies elsewhere."""
    affine = np.array([[0, -2, 0.3, 5], [1.5, 0, 0, -7], [0, 0.2, 3, 1], [0, 0, 0, 1]], float)
    i, j, k = np.mgrid[:28, :24, :20]
    for name, centre in (("fixed", 12.0), ("moving", 14.0)):
        blob = np.exp(-((i - centre) ** 2 + (j - 12) ** 2 + (k - 10) ** 2) / 40)
        image = nib.Nifti1Image((1000 * blob - 500).astype(np.float32), affine)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    return {name: str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")}


def checkpoint(path):
    """A checkpoint with the released key layout and random weights that do deform."""
    torch.manual_seed(0)
    network = UniReg()
    state = {k: v + 0.02 * torch.randn_like(v) for k, v in network.state_dict().items()}
    torch.save({"model": state}, path)
    return path


def transform_of(folder):
    return nib.load(folder / "transform.nii.gz").get_fdata()


def test_checkpoint_to_hub_to_monai_gives_the_same_transform(hub_here, user, pair, tmp_path):
    pull("unireg", str(checkpoint(tmp_path / "release.pth")))
    shipped = packaged_bundles() / "unireg"
    monai.bundle.run(
        config_file=str(shipped / "configs" / "inference.json"),
        bundle_root=str(shipped),
        output_dir=str(tmp_path / "ours"),
        **pair,
        **SETTINGS,
    )
    bundle = shutil.copytree(shipped, tmp_path / "unireg")
    for folder in ("models", "docs"):
        (bundle / folder).mkdir(exist_ok=True)
    shutil.copyfile(find_weights("unireg").path, bundle / "models" / "model.safetensors")
    if not (bundle / "docs" / "README.md").exists():
        (bundle / "docs" / "README.md").write_text("# UniReg\n")
    push(plan_push(str(bundle)), "me/unireg", tag="0.1.0")

    place = tmp_path / "got"
    settings = {
        **pair,
        **SETTINGS,
        "output_dir": str(tmp_path / "theirs"),
        "weights": str(place / "unireg" / "models" / "model.safetensors"),
    }
    elsewhere = str(tmp_path / "their_home")  # nothing was ever pulled there
    process = user.python("-c", THEIRS, str(place), json.dumps(settings), HF_HOME=elsewhere)
    code, _, err = finish(process)
    assert code == 0, err
    ours, theirs = transform_of(tmp_path / "ours"), transform_of(tmp_path / "theirs")
    assert np.abs(ours).max() > 0.1  # mm: it did deform
    np.testing.assert_array_equal(ours, theirs)
