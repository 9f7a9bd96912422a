"""Pairs of a data folder and phantoms."""

import numpy as np
import pytest
from benchmarks.harness.pairs import (
    BenchPair,
    data_pairs,
    pair_document,
    pair_from_document,
    phantom_pairs,
    true_field,
)


def test_itk_truth_is_read_in_ras_on_the_fixed_grid(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    (phantom,) = phantom_pairs(tmp_path, [28], seed=3)
    path = tmp_path / "truth.tfm"
    sitk.WriteTransform(sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), str(path))
    field = true_field(BenchPair("moved", phantom.fixed, phantom.moving, truth=path))
    assert field.shape == (28, 28, 28, 3)
    np.testing.assert_allclose(field[3, 20, 9], [-1, -2, 3])


def test_only_pairs_with_both_images_are_returned(tmp_path):
    assert data_pairs(tmp_path) == []
    folder = tmp_path / "brain_malf_oasis"
    folder.mkdir()
    for subject in ("1000", "1003"):
        (folder / f"{subject}_t1.nii.gz").touch()
    (pair,) = data_pairs(tmp_path)
    assert pair.name == "malf_1000_1003"
    assert pair.pairing == "inter"


def test_the_first_patients_of_head_and_neck_are_paired_in_order(tmp_path):
    folder = tmp_path / "hn_openkbp_val"
    folder.mkdir()
    for number in (203, 201, 202, 206, 204, 207, 208, 209, 210, 211):
        for kind in ("ct", "oars"):
            (folder / f"pt_{number}_{kind}.nii.gz").touch()
    pairs = data_pairs(tmp_path)
    assert [p.name for p in pairs] == ["hn_201_202", "hn_203_204", "hn_206_207", "hn_208_209"]
    assert pairs[1].moving_labels == folder / "pt_204_oars.nii.gz"
    assert all(pair.one_contrast for pair in pairs)


def test_a_pair_survives_its_document(tmp_path):
    pair = BenchPair("a", tmp_path / "f.nii", tmp_path / "m.nii", truth=tmp_path / "t.npy")
    assert pair_from_document(pair_document(pair)) == pair
