"""Pairs of rendered heads: files, facts, and what is left alone."""

import numpy as np
import torch
from benchmarks.harness.rendered_heads import HELD_OUT
from benchmarks.harness.rendered_pairs import RENDERED, rendered_pairs

from zoo.geometry import Grid
from zoo.io.volume import read_volume, write_volume


def _write_maps(folder):
    folder.mkdir()
    x, y, z = np.meshgrid(*[np.arange(36)] * 3, indexing="ij")
    for person in HELD_OUT:
        radius = np.sqrt((x - 18) ** 2 + (y - 18) ** 2 + (z - 20) ** 2) + person - 13
        labels = np.zeros(x.shape, np.int16)
        labels[(np.hypot(x - 18, y - 18) < 8) & (z < 20)] = 507
        for outer, label in ((16, 511), (14, 515), (12, 24), (10, 3), (6, 2)):
            labels[radius < outer] = label
        grid = Grid.from_spacing(x.shape)
        write_volume(folder / f"head_labels_{person}.nii.gz", torch.from_numpy(labels), grid)


def test_images_are_rendered_once_with_the_facts_of_their_pair(tmp_path):
    _write_maps(tmp_path / "maps")
    pairs = rendered_pairs(tmp_path / "maps", tmp_path / "rendered")
    assert [pair.name for pair in pairs] == [f"rendered_{name}" for name in RENDERED]
    for pair in pairs:
        assert pair.pairing == "inter"
        assert read_volume(pair.fixed).grid.same_as(read_volume(pair.fixed_labels).grid)
        assert read_volume(pair.moving).grid.same_as(read_volume(pair.moving_labels).grid)
    contrasts = [pair.modality for pair in pairs if not pair.one_contrast]
    assert contrasts == [("t1", "t2"), ("t1", "flair")]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "rendered").iterdir()}
    assert rendered_pairs(tmp_path / "maps", tmp_path / "rendered") == pairs
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "rendered").iterdir()}


def test_the_two_persons_of_a_pair_differ_and_are_held_out():
    for fixed, moving in RENDERED.values():
        assert fixed.person != moving.person
        assert {fixed.person, moving.person} <= set(HELD_OUT)


def test_without_label_maps_there_is_no_pair(tmp_path):
    assert rendered_pairs(tmp_path / "maps", tmp_path / "rendered") == []
    assert not (tmp_path / "rendered").exists()
