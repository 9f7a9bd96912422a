"""Weights on disk: find them, check them before they are loaded, load them."""

from __future__ import annotations

import json
import random
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save, save_file

from zoo.errors import UserError
from zoo.hub import bundles
from zoo.hub.weights import find_weights, load_weights
from zoo.hub.weights_header import read_weights_header, sha256_of

TENSORS = {
    "netPsi.net.downConvs.0.weight": torch.randn(4, 2, 3, 3, 3),
    "half": torch.randn(5).half(),
    "brain": torch.randn(2, 2).bfloat16(),
    "count": torch.tensor(3),
    "empty": torch.zeros(0, 3),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A computer without weights: its packaged bundles hold only the specifications."""
    for name in bundles.bundle_names():
        (tmp_path / "bundles" / name).mkdir(parents=True)
        shutil.copy(bundles.bundle_folder(name) / "spec.yaml", tmp_path / "bundles" / name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bundles, "search_folders", lambda: (tmp_path / "bundles",))
    return tmp_path


@pytest.fixture
def path(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors", metadata={"format": "pt"})
    return tmp_path / "w.safetensors"


def test_loading_gives_the_tensors_with_halves_as_float32(path):
    loaded = load_weights(path)
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        wanted = torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype
        assert loaded[name].dtype == wanted
        assert torch.equal(loaded[name], tensor.to(wanted))


def test_the_header_is_read_as_the_safetensors_library_reads_it(path):
    header = read_weights_header(path)
    with safe_open(path, "pt") as file:
        assert set(header.shapes) == set(file.keys())
        assert all(list(header.shapes[k]) == file.get_slice(k).get_shape() for k in file.keys())  # noqa: SIM118
        assert header.metadata == file.metadata()


def test_whatever_passes_the_check_the_library_can_read(tmp_path):
    """Random damage to the header: whatever passes the check can be read by the library."""
    good = save({"a": torch.arange(6.0), "b": torch.ones(2, 2, dtype=torch.float16)})
    length = int.from_bytes(good[:8], "little")
    rng = random.Random(0)
    path = tmp_path / "x.safetensors"
    passed = 0
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 5])):
            data[rng.randrange(8 + length)] = rng.choice(b'0123456789{}[]",:abF' + bytes([255]))
        path.write_bytes(data)
        try:
            read_weights_header(path)
        except UserError:
            continue
        passed += 1
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118
                file.get_tensor(key)
    assert 0 < passed < 400


def with_header(header: dict, data: bytes = bytes(8)) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "truncated or is not a safetensors"),
        (b"x", "truncated or is not a safetensors"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "claims a header of 1152921504606846976 bytes"),
        ((2).to_bytes(8, "little") + b"[]", "not a JSON object"),
        ((4).to_bytes(8, "little") + b"nope", "not JSON"),
        (b"PK\x03\x04" + b"\x14\x00\x00\x08" * 20, "is a pickle"),
        (b"\x80\x02}q\x00X" + b"x" * 50, "is a pickle"),
        (
            with_header({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}),
            "inconsistently",
        ),
        (
            with_header({"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}}),
            "inconsistently",
        ),
        (
            with_header({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [8, 0]}}),
            "inconsistently",
        ),
        (
            with_header({"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}),
            "inconsistently",
        ),
        (with_header({"a": [0, 8]}), "inconsistently"),
        (with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}), "a gap"),
        (
            with_header(
                {n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in ("a", "b")}
            ),
            "overlap",
        ),
        (with_header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}), "truncated"),
        (with_header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}), "appended"),
        (
            with_header({"a": {"dtype": "F64", "shape": [1 << 57], "data_offsets": [0, 1 << 60]}}),
            "truncated",
        ),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(tmp_path, content, problem):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=problem) as error:
        load_weights(path)
    assert str(path) in str(error.value)


def test_a_torch_checkpoint_under_another_name_is_called_a_pickle(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"is a pickle.*regzoo pull MODEL --source FILE"):
        load_weights(tmp_path / "model.safetensors")


def test_without_weights_the_command_that_gets_them_is_named(home):
    with pytest.raises(
        UserError, match=r"run `regzoo pull unigradicon` or name a file with --weights"
    ):
        find_weights("unigradicon")
    with pytest.raises(UserError, match="`regzoo pull unigradicon:compact`"):
        find_weights("unigradicon", "compact")
    with pytest.raises(UserError, match="mcbo has no weights and needs none"):
        find_weights("mcbo")
    with pytest.raises(UserError, match="there is no model 'nothing'"):
        find_weights("nothing")


def test_compact_weights_of_the_package_are_found_and_official_ones_preferred(home, path):
    packaged = home / "bundles" / "unigradicon" / "models" / "model_compact.safetensors"
    packaged.parent.mkdir()
    packaged.write_bytes(path.read_bytes())
    found = find_weights("unigradicon")
    assert (found.path, found.variant, found.width) == (packaged, "compact", 4)
    official = packaged.with_name("model.safetensors")
    official.write_bytes(path.read_bytes())
    assert find_weights("unigradicon").variant == "official"
    assert find_weights("unigradicon", "compact").path == packaged


def test_the_weights_in_a_bundle_s_own_folder_come_first(home, path):
    for folder in ("bundles/unigradicon", "elsewhere"):
        (home / folder / "models").mkdir(parents=True)
        (home / folder / "models" / "model.safetensors").write_bytes(path.read_bytes())
    assert find_weights("unigradicon", bundle=home / "elsewhere").path.parts[-3] == "elsewhere"
    assert find_weights("unigradicon", bundle=home / "empty").path.parts[-3] == "unigradicon"


def test_own_weights_are_named_by_path_and_only_safetensors(home, path):
    found = find_weights("unigradicon", str(path))
    assert (found.path, found.variant, found.width) == (path, "own", 4)
    assert found.sha256 == sha256_of(path)
    with pytest.raises(UserError, match=r"nor a \.safetensors file"):
        find_weights("unigradicon", "model.trch")
    with pytest.raises(UserError, match=r"gone.safetensors does not exist"):
        find_weights("unigradicon", str(home / "gone.safetensors"))


def test_the_width_in_the_metadata_wins(home):
    path = home / "w.safetensors"
    save_file(TENSORS, path, metadata={"width": "8"})
    assert find_weights("unigradicon", str(path)).width == 8


@pytest.mark.parametrize(
    ("text", "size"),
    [("[80, 96, 80]", (80, 96, 80)), (None, None), ("80", None), ("[80, 80, 99999]", None)],
)
def test_the_size_that_weights_were_made_for_is_read_from_the_metadata(home, text, size):
    path = home / "sized.safetensors"
    save_file(TENSORS, path, metadata={} if text is None else {"size": text})
    assert find_weights("unigradicon", str(path)).size == size
