"""Registrations on a simulated GPU agree with those on the CPU.

The simulation shows that no tensor is left behind on another device, and that Apple's GPUs are not
asked for double precision. `test_cuda.py` shows what a real device computes.
"""

from __future__ import annotations

import pytest
import torch
from support.simulated_device import simulated
from support.train_cases import SMALL, write_images

import zoo
from zoo.io.volume import write_volume
from zoo.solvers.fluid import refine_by_composition
from zoo.synthesis.phantom import make_pair

DEVICES = ["cuda", "mps"]
SHAPE = (40, 44, 37)

MCBO = {
    "normal": {},
    "fast": {"effort": "fast"},
    "uncertainty": {"uncertainty": 2},
    "rigid": {"settings": {"rigid": True, "solver_settings": {"adam_iterations": [20, 16]}}},
}
NETWORKS = {
    "unigradicon": {"model": "unigradicon", "weights": "compact", "settings": {"refine": 0}},
    "multigradicon, refined": {
        "model": "multigradicon",
        "weights": "compact",
        "settings": {"refine": 2},
    },
    "unireg, refined": {
        "model": "unireg",
        "weights": "compact",
        "anatomy": "brain",
        "pairing": "inter",
        "settings": {"refine": 2},
    },
}


@pytest.fixture(scope="module")
def phantom():
    return make_pair(7, shape=SHAPE, spacing=(4.5, 4.0, 5.0), axes="LPS", tilt_degrees=8)


@pytest.fixture(scope="module")
def files(tmp_path_factory, phantom):
    folder = tmp_path_factory.mktemp("pair")
    paths = folder / "fixed.nii.gz", folder / "moving.nii.gz"
    write_volume(paths[0], phantom.fixed, phantom.fixed_grid, torch.int16)
    write_volume(paths[1], phantom.moving, phantom.moving_grid, torch.int16)
    return paths


@pytest.fixture(scope="module")
def on_cpu(files, tmp_path_factory):
    """Return a function that registers the files on the CPU, once for the same options."""
    found = {}

    def register(options):
        key = repr(options)
        if key not in found:
            folder = tmp_path_factory.mktemp("cpu")
            found[key] = zoo.register(*files, out=folder / "out", device="cpu", **options)
        return found[key]

    return register


@pytest.fixture
def differences(phantom, files, on_cpu, tmp_path):
    """Return a function that registers on a simulated device and on the CPU.

    It returns the distances in mm of where the two map the landmarks of the organs.
    """

    def compare(device, options):
        with simulated(device) as operations:
            found = zoo.register(*files, out=tmp_path / "out", device=device, **options)
        assert operations.count > 100
        one, two = (
            of.transform.map_points(phantom.fixed_points) for of in (on_cpu(options), found)
        )
        assert float((one - phantom.fixed_points).norm(dim=1).mean()) > 1
        return (one - two).norm(dim=1)

    return compare


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", MCBO.values(), ids=MCBO)
@pytest.mark.usefixtures("symmetry_without_search")
def test_mcbo_finds_the_same_there(phantom, differences, device, options):
    start = (phantom.fixed_points - phantom.moving_points).norm(dim=1).mean()
    # The loops that are compiled for the CPU round differently, and the optimiser amplifies it.
    # The rigid motion is fitted to the half of the voxels that fit best, which are others then.
    share = 0.2 if "rigid" in options.get("settings", {}) else 0.1
    assert float(differences(device, options).mean()) < share * float(start)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.usefixtures("symmetry_without_search")
def test_networks_find_the_same_there(differences, device, options):
    assert float(differences(device, options).max()) < 0.05


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("contrasts", [("t1", "t1"), ("t1", "t2")], ids=["one", "two"])
def test_the_fluid_refinement_finds_the_same_there(device, contrasts):
    pair = make_pair(3, shape=(66, 70, 64), spacing=(3.0, 3.0, 3.0), contrasts=contrasts)
    moving, fixed = (unit(image)[None, None] for image in (pair.moving, pair.fixed))
    start = torch.zeros(1, 3, *fixed.shape[2:])

    def refined(*images):
        return refine_by_composition(*images, choose=lambda found: "refined")

    expected = refined(start, moving, fixed)
    with simulated(device) as operations:
        images = (image.to(device) for image in (start, moving, fixed))
        found = refined(*images).displacement.cpu()
    assert operations.count > 100
    length = expected.displacement.norm(dim=1).mean()
    assert expected.refined
    assert float((found - expected.displacement).norm(dim=1).mean()) < 0.02 * float(length)


def unit(image):
    """Return an image, scaled to [0, 1]."""
    return (image - image.min()) / (image.max() - image.min())


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_is_fine_tuned_there(tmp_path, device):
    dataset = tmp_path / "dataset"
    write_images(dataset, cases=(1,))
    zoo.plan(dataset, model="unigradicon", out=tmp_path / "plan.json", accept_guess=True)
    with simulated(device) as operations:
        zoo.finetune(
            tmp_path / "plan.json",
            out=tmp_path / "trained",
            device=device,
            settings={**SMALL, "epochs": 1},
        )
    assert operations.count > 1000
    assert (tmp_path / "trained" / "models").is_dir()


def test_the_simulated_device_refuses_what_a_real_one_refuses():
    with simulated("cuda"):
        there = torch.ones(2, device="cuda")
        with pytest.raises(RuntimeError, match="same device"):
            there + torch.ones(2)
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        assert torch.equal((there + torch.ones(())).cpu(), torch.full((2,), 2.0))
    with simulated("mps"), pytest.raises(TypeError, match="float64"):
        torch.ones(2).to("mps").double()
