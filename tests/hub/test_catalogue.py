"""The catalogue holds what is known, and says so where nothing is."""

from __future__ import annotations

import re

import pytest

from zoo.commands.models import models
from zoo.errors import UserError
from zoo.hub.catalogue import find_model, find_variant, load_catalogue
from zoo.hub.download import check_url
from zoo.hub.places import packaged_bundles

VARIANTS = [v for model in load_catalogue().values() for v in model.variants.values()]


def test_the_shipped_bundles_are_among_its_models():
    shipped = {path.parent.name for path in packaged_bundles().glob("*/configs")}
    assert shipped
    assert shipped <= set(load_catalogue())


def test_a_sha256_is_whole_or_absent_and_comes_with_a_size():
    for variant in VARIANTS:
        digests = [variant.sha256, variant.upstream.sha256 if variant.upstream else None]
        assert all(d is None or re.fullmatch("[0-9a-f]{64}", d) for d in digests)
        assert (variant.sha256 is None) == (variant.size is None)
        assert variant.verified == (variant.sha256 is not None)


def test_a_published_variant_is_a_verified_one():
    assert all(v.verified for v in VARIANTS if v.published)


def test_sources_are_https_and_files_are_safetensors():
    for variant in VARIANTS:
        assert re.fullmatch(r"models/[\w.-]+\.safetensors", variant.file)
        if variant.upstream:
            check_url(variant.upstream.url)


def test_the_architectures_are_ones_that_the_converter_knows():
    from zoo.hub.convert import NETWORKS

    assert all(v.architecture["name"] in NETWORKS for v in VARIANTS)


def test_what_is_not_there_is_said_with_what_is():
    assert find_variant("unireg")[1].name == "official"
    assert find_variant("unireg:compact")[1].name == "compact"
    with pytest.raises(UserError, match="no model is called 'Unireg'; there are mcbo, unigradicon"):
        find_model("Unireg")
    with pytest.raises(UserError, match="no variant 'tiny'; there are unireg:official"):
        find_variant("unireg:tiny")


def test_the_table_has_every_model_with_its_state(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    models()
    table = capsys.readouterr().out
    lines = [re.split(r"  +", line) for line in table.splitlines()]
    assert lines[0] == ["model", "weights", "on disk", "size", "licence", "for"]
    assert {line[0] for line in lines[1:]} == set(load_catalogue())
    assert ["unireg", "official (unverified)", "no", "?", "none stated; ask the authors"] in [
        line[:5] for line in lines
    ]
