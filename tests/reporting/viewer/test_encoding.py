"""Volumes as text in a page: what is read back differs from the image by less than a level."""

import base64
import gzip

import numpy as np
import torch

from zoo.reporting.viewer.encoding import intensity_levels, packed, packed_array, to_codes


def test_the_first_axis_is_the_fastest_in_the_text():
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    raw = gzip.decompress(base64.b64decode(packed_array(values)))
    assert np.array_equal(np.frombuffer(raw, "<i2").reshape(4, 3, 2), values.transpose(2, 1, 0))


def test_equal_bytes_give_equal_texts():
    assert packed(b"abc") == packed(b"abc")


def test_levels_are_dense_where_the_voxels_are():
    rng = np.random.default_rng(0)
    tissue = rng.normal(40, 20, 60_000)  # as in CT: air, soft tissue and a little bone
    image = np.concatenate([np.full(60_000, -1000), tissue, rng.uniform(200, 2000, 5_000)])
    volume = torch.from_numpy(rng.permutation(image).reshape(50, 50, 50)).float()
    levels = intensity_levels(volume)
    assert (np.diff(levels) > 0).all()
    error = np.abs(levels[to_codes(volume, levels)] - volume.numpy())
    soft = (volume.numpy() > -20) & (volume.numpy() < 100)
    evenly_spaced = 3000 / 255 / 4  # mean error of as many evenly spaced levels
    assert error[soft].mean() < evenly_spaced / 3
    assert np.median(error) < 3000 / 255


def test_a_constant_image_has_levels():
    levels = intensity_levels(torch.full((4, 4, 4), 7.0))
    assert (np.diff(levels) > 0).all()
    assert levels[to_codes(torch.full((4, 4, 4), 7.0), levels)].max() < 7.01
