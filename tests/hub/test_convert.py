"""Converting released checkpoints to safetensors: tensors are kept, all else is refused."""

import hashlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from zoo import UserError
from zoo.hub.convert import convert, expected_shapes
from zoo.networks import GradICON
from zoo.networks.unireg import UniReg

TOOL = Path(__file__).parents[2] / "tools" / "convert.py"
SETTINGS = {"architecture": "gradicon", "width": 1, "licence": "Apache-2.0"}


@pytest.fixture
def state():
    torch.manual_seed(3)
    state = GradICON(width=1).state_dict()
    return {
        k: torch.randn_like(v) if v.is_floating_point() else torch.tensor(1234567)
        for k, v in state.items()
    }


@pytest.fixture
def source(state, tmp_path):
    torch.save(state, tmp_path / "Step_2_final.trch")
    return tmp_path / "Step_2_final.trch"


def header(path):
    data = path.read_bytes()
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])


def test_tensors_come_through_bit_for_bit(state, source, tmp_path):
    target = tmp_path / "model.safetensors"
    sha256 = convert(source, target, url="https://example.org/Step_2_final.trch", **SETTINGS)
    found = load_file(target)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert header(target)["__metadata__"] == {
        "format": "pt",
        "architecture": "gradicon",
        "width": "1",
        "licence": "Apache-2.0",
        "source": "https://example.org/Step_2_final.trch",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    GradICON(width=1).load_state_dict(found, strict=True)


def test_float16_halves_the_weights_and_keeps_integers(state, source, tmp_path):
    target = tmp_path / "half.safetensors"
    convert(source, target, dtype="float16", **SETTINGS)
    found = load_file(target)
    for name, tensor in state.items():
        if tensor.is_floating_point():
            assert torch.equal(found[name], tensor.half())
        else:
            assert torch.equal(found[name], tensor)


def test_same_input_gives_the_same_bytes(source, tmp_path):
    sums = {convert(source, tmp_path / f"{i}.safetensors", **SETTINGS) for i in range(4)}
    assert len(sums) == 1


def test_unireg_release_is_unwrapped(tmp_path):
    state = UniReg(channels=2).state_dict()
    release = {"model_state_dict": state, "arch": "unireg_rpn", "step": 7, "metrics": {"dice": 0.5}}
    torch.save(release, tmp_path / "unireg.pth")
    target = tmp_path / "unireg.safetensors"
    convert(tmp_path / "unireg.pth", target, architecture="unireg", width=2, licence="unknown")
    assert all(torch.equal(load_file(target)[name], state[name]) for name in state)


def test_published_architectures_have_the_published_number_of_tensors():
    assert len(expected_shapes("gradicon", 16)) == 188
    assert len(expected_shapes("unireg", 8)) == 56


def _without(state):
    state.pop("netPsi.net.lastConv.bias")


def _renamed(state):
    state["netPsi.lastConv.bias"] = state.pop("netPsi.net.lastConv.bias")


def _reshaped(state):
    state["netPsi.net.lastConv.bias"] = torch.zeros(4)


def _added(state):
    state["identity_map"] = torch.zeros(3)


def _no_tensor(state):
    state["netPsi.net.lastConv.bias"] = [0.0, 0.0, 0.0]


def _not_finite(state):
    state["netPsi.net.lastConv.bias"] = torch.tensor([0.0, float("nan"), 0.0])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_without, r"1 missing \(netPsi.net.lastConv.bias\)"),
        (_renamed, r"1 missing .*1 unknown \(netPsi.lastConv.bias\)"),
        (_reshaped, r"of another shape \(netPsi.net.lastConv.bias: \(4,\) instead of \(3,\)\)"),
        (_added, r"1 unknown \(identity_map\)"),
        (_no_tensor, "list instead of"),
        (_not_finite, "lastConv.bias has values that are not finite"),
    ],
)
def test_anything_but_the_architecture_is_refused(spoil, says, state, tmp_path):
    spoil(state)
    torch.save(state, tmp_path / "bad.trch")
    target = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=says):
        convert(tmp_path / "bad.trch", target, **SETTINGS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.trch"]


def test_other_width_is_refused(source, tmp_path):
    settings = {**SETTINGS, "width": 2}
    with pytest.raises(
        UserError, match=r"read as gradicon of width 2, does not fit.*of another shape .*\.\.\."
    ):
        convert(source, tmp_path / "model.safetensors", **settings)


def test_values_too_large_for_float16_are_refused(state, tmp_path):
    state["netPsi.net.lastConv.bias"] = torch.tensor([0.0, 1e6, 0.0])
    torch.save(state, tmp_path / "large.trch")
    target = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match=r"not finite as torch\.float16"):
        convert(tmp_path / "large.trch", target, dtype="float16", **SETTINGS)


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


def test_pickle_that_runs_something_is_refused_unrun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"netPsi": Evil()}, "evil.trch")
    with pytest.raises(UserError, match="more than tensors"):
        convert("evil.trch", "model.safetensors", **SETTINGS)
    assert [p.name for p in tmp_path.iterdir()] == ["evil.trch"]


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 truncated"])
def test_a_file_that_is_not_a_checkpoint_is_refused(content, tmp_path):
    (tmp_path / "page.trch").write_bytes(content)
    with pytest.raises(UserError, match=r"page\.trch"):
        convert(tmp_path / "page.trch", tmp_path / "model.safetensors", **SETTINGS)


def test_truncated_checkpoint_is_refused(source, tmp_path):
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(UserError, match="Step_2_final"):
        convert(source, tmp_path / "model.safetensors", **SETTINGS)


def test_bare_tensor_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(UserError, match="holds a Tensor"):
        convert(tmp_path / "tensor.pt", tmp_path / "model.safetensors", **SETTINGS)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"architecture": "vit"}, "'vit'.*gradicon, unireg"), ({"width": 0}, "at least 1")],
)
def test_unknown_architecture_or_width_is_refused(change, says, source, tmp_path):
    with pytest.raises(UserError, match=says):
        convert(source, tmp_path / "model.safetensors", **{**SETTINGS, **change})


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.trch does not exist"):
        convert(tmp_path / "none.trch", tmp_path / "model.safetensors", **SETTINGS)


@pytest.mark.slow
def test_tool_prints_the_sha256_and_says_errors_in_one_line(source, tmp_path, monkeypatch, capsys):
    words = [str(TOOL), str(source), str(tmp_path / "m.safetensors")]
    words += ["--architecture", "gradicon", "--licence", "Apache-2.0", "--width"]
    good = subprocess.run([sys.executable, *words, "1"], capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    written = (tmp_path / "m.safetensors").read_bytes()
    assert good.stdout.strip() == hashlib.sha256(written).hexdigest()
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert file.metadata()["source"] == "Step_2_final.trch"
    monkeypatch.setattr(sys, "argv", [*words, "2"])
    with pytest.raises(SystemExit) as bad:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert bad.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("convert: ")
    assert len(error.splitlines()) == 1
