import json

import pytest
import torch
from safetensors.torch import save_file

from zoo import cli
from zoo.io.transforms import read_transform
from zoo.io.volume import write_volume
from zoo.networks import UniReg
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A pair in files, and weights whose flow head listens to its conditions."""
    folder = tmp_path_factory.mktemp("pair")
    made = make_pair(3, shape=(30, 28, 26), axes="LPS")
    write_volume(folder / "a.nii.gz", made.fixed, made.fixed_grid)
    write_volume(folder / "b.nii.gz", made.moving, made.moving_grid)
    torch.manual_seed(0)
    network = UniReg()
    with torch.no_grad():
        for decoder in (network.decoder4, network.decoder3, network.decoder2, network.decoder1):
            decoder.dynamic_flow.controller.weight.normal_(0, 0.05)
    save_file(network.state_dict(), folder / "w.safetensors")
    return folder


def explain(pair, out, *more):
    words = ["explain", pair / "a.nii.gz", pair / "b.nii.gz", "--out", out]
    words += ["--weights", pair / "w.safetensors", "--set", "size=[24,32,16]", "--set", "bar=false"]
    return cli.run([str(word) for word in [*words, *more]])


def test_each_condition_has_its_field_and_they_differ(pair, tmp_path):
    conditions = ["--condition", "inter:abdomen", "--condition", "intra:liver"]
    assert explain(pair, tmp_path, *conditions) == 0
    one = read_transform(tmp_path / "inter_abdomen" / "transform.nii.gz")
    two = read_transform(tmp_path / "intra_liver" / "transform.nii.gz")
    apart = float((one.field - two.field).norm(dim=0).mean())
    assert apart > 1e-3
    result = json.loads((tmp_path / "conditions.json").read_text())
    assert result["inter:abdomen"]["mm_from_first_mean"] == 0
    assert result["intra:liver"]["mm_from_first_mean"] == pytest.approx(apart, rel=1e-3)
    kernels = [result[name]["kernel_norms"] for name in ("inter:abdomen", "intra:liver")]
    assert list(kernels[0]) == ["1/8", "1/4", "1/2", "1/1"]
    assert kernels[0] != kernels[1]
    assert (tmp_path / "conditions.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--condition", "inter:abdomen"], "at least two conditions"),
        (["--condition", "inter", "--condition", "intra:liver"], "TYPE:REGION"),
        (["--condition", "inter:abdomen", "--condition", "intra:livre"], "liver"),
    ],
)
def test_conditions_that_cannot_be_compared_are_refused(pair, tmp_path, capsys, words, message):
    assert explain(pair, tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
