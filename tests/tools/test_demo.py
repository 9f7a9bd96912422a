"""The demo ships its data with licences, and no registration of it makes a pair worse."""

import re

import demo
import numpy as np
import pytest

from zoo.hub.bundles import bundle_names
from zoo.io.volume import read_volume

QUICK = ("--threads", "1", "--report=false")


def test_every_model_registers_a_pair_of_the_demo():
    assert {model for _, model, _ in demo.RUNS} == set(bundle_names())


def test_the_data_is_small_and_each_file_has_a_source_and_a_licence():
    files = sorted(demo.DATA.glob("*.nii.gz"))
    assert sum(file.stat().st_size for file in files) < 3e6
    page = (demo.DATA / "README.md").read_text()
    assert set(re.findall(r"`((?:neck|head)_\w+)`", page)) == {f.name[:-7] for f in files}
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert all("github.com" in row or "the same" in row for row in rows)
    assert all("MIT" in row or "Apache-2.0" in row for row in rows)
    assert "MIT License" in (demo.DATA / "LICENSE-OpenKBP").read_text()


@pytest.mark.parametrize("pair", [demo.NECK, demo.HEADS], ids=lambda pair: pair.name)
def test_the_labels_of_a_pair_lie_on_the_tissue_of_the_images(pair):
    images, labels = (
        [read_volume(demo.DATA / f"{name}.nii.gz") for name in names]
        for names in (pair.images, pair.labels)
    )
    shared = set(np.unique(labels[0].data)) & set(np.unique(labels[1].data)) - {0}
    assert len(shared) >= 6
    for image, label in zip(images, labels, strict=True):
        assert image.grid.same_as(label.grid)
        assert image.data[label.data > 0].float().median() > image.data.float().median()


def test_figures_that_are_worse_are_named():
    better = {"dice_before": 0.2, "dice_after": 0.7, "hd95_mm_before": 9.0, "hd95_mm_after": 4.0}
    better |= {"similarity_before": 0.1, "similarity_after": 0.2, "nmi_before": 1, "nmi_after": 1.1}
    assert demo.worsened(better) == []
    assert demo.worsened(better | {"dice_after": 0.1}) == ["Dice"]
    assert demo.worsened(better | {"hd95_mm_after": 10.0}) == ["HD95"]
    assert demo.worsened(better | {"similarity_after": None}) == ["Similarity"]


@pytest.mark.slow
def test_the_fastest_network_improves_the_real_pair(tmp_path):
    (settings,) = (
        words for pair, model, words in demo.RUNS if (pair, model) == (demo.NECK, "unireg")
    )
    row = demo.run_model(demo.NECK, "unireg", (*settings, *QUICK), tmp_path)
    assert row.note == ""
    figures = row.result["figures"]
    assert figures["dice_after"] > figures["dice_before"] + 0.3
    assert figures["folding_percent"] < 0.1
    assert {panel.title for panel in row.panels} == set(demo.SHOWN)
    assert "unireg" in demo.table([row])
    assert row.command.startswith("regzoo register ")


def test_a_registration_that_fails_is_noted_with_its_error(tmp_path):
    row = demo.run_model(demo.NECK, "mcbo", ("--refine", "x"), tmp_path)
    assert row.result is None
    assert "--refine must be a whole number, not 'x'" in row.note
