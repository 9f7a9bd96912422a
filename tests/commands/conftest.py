"""Files that the tests of several commands read."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.planning_data import write_document, write_learn2reg

from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume
from zoo.networks import GradICON, UniReg
from zoo.synthesis.phantom import make_pair

NETWORKS = {
    "unigradicon": lambda: GradICON(width=2),
    "multigradicon": lambda: GradICON(width=2),
    "unireg": lambda: UniReg(),
}


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A phantom pair on unequal oblique grids, with its true transform, in files."""
    folder = tmp_path_factory.mktemp("pair")
    pair = make_pair(
        4,
        shape=(30, 26, 22),
        spacing=(2, 2.5, 3),
        axes="LPS",
        tilt_degrees=20,
        moving_axes="SAR",
        moving_shape=(24, 32, 28),
        moving_spacing=(3, 2, 2.2),
    )
    write_volume(folder / "fixed.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(folder / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    write_volume(folder / "labels.nii.gz", pair.moving_labels, pair.moving_grid)
    write_transform(folder / "t.nii.gz", pair.truth, pair.fixed_grid)
    np.savetxt(folder / "points.csv", pair.fixed_points.numpy(), delimiter=",")
    return folder, pair


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A dataset of one CT pair whose description declares anatomy and pairing."""
    folder = tmp_path_factory.mktemp("data sets") / "ü"
    folder.mkdir()
    write_learn2reg(folder, cases=(1,), contrasts=("ct", "ct"), shape=(34, 30, 32))
    document = json.loads((folder / "dataset.json").read_text())
    del document["training"], document["numTraining"]
    write_document(folder, {**document, "anatomy": "abdomen", "pairing": "inter"})
    return folder


@pytest.fixture(scope="session")
def images(data):
    """The fixed and the moving image of the dataset's pair."""
    return [data / "imagesTr" / f"Ph_0001_000{k}.nii.gz" for k in (0, 1)]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder with random weights of every network, NAME.safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, make in NETWORKS.items():
        save_file(make().state_dict(), folder / f"{name}.safetensors")
    return folder
