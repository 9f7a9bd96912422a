"""From a checkpoint to weights, the Hub and MONAI, with the same transform at the end."""

from __future__ import annotations

import shutil

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch

from zoo.hub.bundles import bundle_folder
from zoo.hub.pull import pull
from zoo.hub.push import plan_push, push
from zoo.hub.weights import find_weights
from zoo.networks.unireg import UniReg

SETTINGS = {
    "fixed_modality": "ct",
    "moving_modality": "ct",
    "affine": "none",
    "device": "$torch.device('cpu')",
    "report": False,
    "bar": False,
}


@pytest.fixture
def pair(tmp_path):
    """Two blobs on an oblique, anisotropic grid; the moving one is elsewhere."""
    affine = np.array([[0, -2, 0.3, 5], [1.5, 0, 0, -7], [0, 0.2, 3, 1], [0, 0, 0, 1]], float)
    i, j, k = np.mgrid[:28, :24, :20]
    for name, centre in (("fixed", 12.0), ("moving", 14.0)):
        blob = np.exp(-((i - centre) ** 2 + (j - 12) ** 2 + (k - 10) ** 2) / 40)
        image = nib.Nifti1Image((1000 * blob - 500).astype(np.float32), affine)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    return {name: str(tmp_path / f"{name}.nii.gz") for name in ("fixed", "moving")}


def our_unireg(folder):
    """Write a checkpoint with the released key layout and random weights that do deform."""
    torch.manual_seed(0)
    state = {k: v + 0.02 * torch.randn_like(v) for k, v in UniReg().state_dict().items()}
    torch.save({"model": state}, folder / "release.pth")
    return folder / "release.pth"


def upstream_gradicon(folder):
    """Write a checkpoint as unigradicon itself saves it, with random weights that do deform."""
    unigradicon = pytest.importorskip("unigradicon", exc_type=ImportError)
    torch.manual_seed(0)
    network = unigradicon.make_network([1, 1, 66, 66, 66], include_last_step=True)
    state = network.regis_net.state_dict()
    state = {k: 0.02 * torch.randn_like(v) if "lastConv" in k else v for k, v in state.items()}
    torch.save(state, folder / "Step_2_final.trch")
    return folder / "Step_2_final.trch"


def transform_of(folder):
    return nib.load(folder / "transform.nii.gz").get_fdata()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checkpoint", "more"),
    [
        ("unireg", our_unireg, {"size": [32, 32, 32], "region": "abdomen", "type": "inter"}),
        ("unigradicon", upstream_gradicon, {"size": [66, 66, 66]}),
    ],
)
def test_checkpoint_to_hub_to_monai_gives_the_same_transform(
    hub_here, pair, tmp_path, monkeypatch, name, checkpoint, more
):
    pull(name, str(checkpoint(tmp_path)))
    shipped = bundle_folder(name)
    settings = {**pair, **SETTINGS, **more}
    monai.bundle.run(
        config_file=str(shipped / "configs" / "inference.json"),
        bundle_root=str(shipped),
        output_dir=str(tmp_path / "ours"),
        **settings,
    )
    bundle = shutil.copytree(shipped, tmp_path / name)
    (bundle / "models").mkdir(exist_ok=True)
    shutil.copyfile(find_weights(name).path, bundle / "models" / "model.safetensors")
    push(plan_push(str(bundle)), f"me/{name}", tag="0.1.0")

    monkeypatch.setenv("HF_HOME", str(tmp_path / "their_home"))  # nothing was ever pulled there
    monai.bundle.download(
        name=name,
        source="huggingface_hub",
        repo=f"me/{name}",
        version="0.1.0",
        bundle_dir=str(tmp_path / "got"),
        progress=False,
    )
    got = tmp_path / "got" / name
    monai.bundle.run(
        config_file=str(got / "configs" / "inference.json"),
        bundle_root=str(got),
        output_dir=str(tmp_path / "theirs"),
        **settings,
    )
    one, two = transform_of(tmp_path / "ours"), transform_of(tmp_path / "theirs")
    assert np.abs(one).max() > 0.1  # mm: it did deform
    np.testing.assert_array_equal(one, two)
