"""The catalogue: the specifications of the packaged models, and mistakes in them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from zoo.commands.hub.models import models
from zoo.errors import UserError
from zoo.hub import bundles
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.catalogue import find_model, find_variant, load_catalogue, read_spec
from zoo.hub.convert import architectures, expected_shapes
from zoo.hub.download import check_url

SPECS = load_catalogue()
VARIANTS = [variant for spec in SPECS.values() for variant in spec.variants.values()]


def test_every_packaged_bundle_has_a_specification():
    assert list(SPECS) == bundle_names()
    assert all(spec.folder == bundle_folder(name) for name, spec in SPECS.items())


def test_a_sha256_comes_with_a_size():
    for variant in VARIANTS:
        digests = [variant.sha256, variant.upstream.sha256 if variant.upstream else None]
        assert all(d is None or re.fullmatch("[0-9a-f]{64}", d) for d in digests)
        assert (variant.sha256 is None) == (variant.size is None)


def test_a_published_variant_is_a_verified_one():
    assert all(v.verified for v in VARIANTS if v.published)


def test_sources_are_https_and_files_are_safetensors():
    for variant in VARIANTS:
        assert re.fullmatch(r"models/[\w.-]+\.safetensors", variant.file)
        if variant.upstream:
            check_url(variant.upstream.url)


def test_models_that_share_an_architecture_describe_it_in_the_same_way():
    described = [spec.architecture for spec in SPECS.values() if spec.architecture]
    assert len(set(described)) == len(architectures())


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.learned])
def test_the_first_convolution_of_an_architecture_has_the_width_of_the_network(name):
    architecture = SPECS[name].architecture
    for width in (2, 5):
        shapes = expected_shapes(architecture.name, width)
        assert shapes[architecture.first_convolution][0] == width


def test_an_unknown_model_or_variant_is_refused_with_the_known_ones():
    assert find_variant("unireg")[1].name == "official"
    assert find_variant("unireg:compact")[1].name == "compact"
    with pytest.raises(UserError, match="there is no model 'Unireg'; use one of mcbo, multi"):
        find_model("Unireg")
    with pytest.raises(UserError, match="no variant 'tiny'; use one of unireg:official"):
        find_variant("unireg:tiny")


@pytest.fixture
def spec_file(tmp_path):
    (tmp_path / "unireg").mkdir()
    return Path(shutil.copy(bundle_folder("unireg") / "spec.yaml", tmp_path / "unireg"))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("titel",), "x", "the key 'titel' is not known"),
        (("title",), None, "the key 'title' is missing"),
        (("planning", "pairs", "lung/ct-ct/inter", "rang"), 1, "lung/ct-ct/inter: the key 'rang'"),
        (("planning", "working_grid", "kind"), "cube", "kind 'cube' must be size, region or"),
        (("planning", "initial_affine"), "never", "initial_affine 'never' must be"),
        (("variants", "official", "sha256"), "12", "variants: official: '12' is not a sha256"),
        (("variants", "official", "width"), None, "variants: official: the key 'width' is missing"),
        (("architecture",), None, "a model with variants needs the keys architecture and hub"),
    ],
)
def test_a_mistake_in_a_specification_is_named_with_its_key(spec_file, path, value, words):
    content = yaml.safe_load(spec_file.read_text())
    entry = content
    for key in path[:-1]:
        entry = entry[key]
    entry[path[-1]] = value
    if value is None:
        del entry[path[-1]]
    spec_file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=re.escape(words)) as error:
        read_spec(spec_file)
    assert str(spec_file) in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "a: [", "text", "planning: 3"])
def test_a_file_that_is_not_a_specification_is_refused(spec_file, text):
    spec_file.write_text(text)
    with pytest.raises(UserError, match=r"spec.yaml is not a model specification"):
        read_spec(spec_file)


def test_a_bundle_from_elsewhere_has_no_say(tmp_path, monkeypatch):
    shutil.copytree(bundle_folder("mcbo"), tmp_path / "stranger")
    monkeypatch.chdir(tmp_path)
    assert bundle_folder("stranger").name == "stranger"
    with pytest.raises(UserError, match="there is no model 'stranger'"):
        find_model("stranger")
    monkeypatch.setattr(bundles, "search_folders", lambda: (tmp_path,))
    assert find_model("stranger").title == "MCBO"


def test_the_table_has_every_model_with_its_state(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    models()
    table = capsys.readouterr().out
    lines = [re.split(r"  +", line) for line in table.splitlines()]
    assert lines[0] == ["model", "weights", "on disk", "size", "licence", "for"]
    assert {line[0] for line in lines[1:]} == set(SPECS)
    assert ["unireg", "official (unverified)", "no", "?", "none stated; ask the authors"] in [
        line[:5] for line in lines
    ]
