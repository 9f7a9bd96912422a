"""Loading selected weights into a network, with the attributes that belong to them."""

import pytest
import torch
from safetensors.torch import save_file

from zoo.networks import GradICON, UniReg
from zoo.registration.weights import SelectedWeights
from zoo.training.checkpoint import write_weights


def test_the_network_gets_the_grid_size_of_the_weights(tmp_path):
    path = tmp_path / "w.safetensors"
    for name, make, size in (
        ("unireg", UniReg, [40, 48, 48]),
        ("unigradicon", lambda: GradICON(width=1), [72, 72, 72]),
    ):
        save_file(make().state_dict(), path, {"size": str(size)})
        network = make()
        assert SelectedWeights(name, str(path)).load_into(network).size == tuple(size)


def test_weights_without_a_grid_size_leave_it_undefined(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(UniReg().state_dict(), path)
    assert SelectedWeights("unireg", str(path)).load_into(UniReg()).size is None


@pytest.mark.parametrize("recolour", [False, True])
def test_the_network_gets_the_recolour_flag_of_the_weights(tmp_path, recolour):
    write_weights(tmp_path / "w.safetensors", GradICON(width=2, recolour=recolour), {})
    network = SelectedWeights("multigradicon", str(tmp_path / "w.safetensors")).load_into(
        GradICON(width=2)
    )
    assert network.recolour is recolour


def test_the_packaged_compact_weights_of_unireg_find_a_shift():
    torch.manual_seed(0)
    network = SelectedWeights("unireg", "compact").load_into(UniReg(type="inter", region="abdomen"))
    coarse = torch.rand(1, 1, 10, 12, 12)
    image = torch.nn.functional.interpolate(coarse, size=(40, 48, 48), mode="trilinear")
    moving = image.roll(2, dims=4)  # fixed(i) = moving(i + 2) along the last axis
    with torch.no_grad():
        displacement = network(torch.cat([moving, image], dim=1))[0, :, 8:-8, 8:-8, 8:-8]
    assert 1 < displacement[2].mean() < 3
    assert displacement[:2].mean(dim=(1, 2, 3)).abs().max() < 0.5
