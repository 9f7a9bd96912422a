"""Rendered heads: contrasts, skull-stripping and cuts of a small head drawn from shells."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.harness.rendered_heads import (
    STRUCTURES,
    brain_mask,
    mean_intensities,
    render,
    write_head,
)

from zoo.geometry import Grid
from zoo.io.volume import Volume, read_volume

AFFINE = torch.tensor(
    [[1, 0, 0, -20], [0, 1, 0, 5], [0, 0, 1, -30], [0, 0, 0, 1]], dtype=torch.float64
)


@pytest.fixture(scope="module")
def head() -> Volume:
    """Return a head: skin, bone, fluid, cortex and white matter as shells, and a neck of muscle."""
    x, y, z = np.meshgrid(np.arange(48), np.arange(52), np.arange(60), indexing="ij")
    radius = np.sqrt((x - 24) ** 2 + (y - 26) ** 2 + (z - 38) ** 2)
    labels = np.zeros(x.shape, np.int16)
    labels[(np.hypot(x - 24, y - 26) < 12) & (z < 30)] = 507
    for outer, label in ((22, 511), (20, 515), (18, 24), (16, 3), (11, 2)):
        labels[radius < outer] = label
    labels[(labels == 3) & (x > 24)] = 42
    labels[(labels == 2) & (x > 24)] = 41
    labels[(x > 22) & (x < 26) & (labels == 3)] = 24  # the fissure, filled with fluid
    return Volume(torch.from_numpy(labels), Grid((48, 52, 60), AFFINE), Path("head.nii.gz"))


def _mean(head, image, label):
    return image[head.data.numpy() == label].mean()


@pytest.mark.parametrize(
    ("contrast", "order"), [("t1", (24, 3, 2)), ("t2", (2, 3, 24)), ("flair", (24, 2, 3))]
)
def test_the_contrasts_order_fluid_cortex_and_white_matter_as_mr_does(head, contrast, order):
    image = render(head, contrast, seed=1).image
    means = [_mean(head, image, label) for label in order]
    assert means == sorted(means)
    assert means[1] - means[0] > 10


def test_a_border_has_partial_volume(head):
    means = mean_intensities(head.data.numpy(), "t1")
    rendered = render(head, "t1", seed=1).image
    border = (head.data.numpy() == 2)[:, 26, 38].nonzero()[0][0]  # white matter beside cortex
    between = rendered[border - 1 : border + 1, 26, 38]
    assert means[border - 1, 26, 38] == 76
    assert means[border, 26, 38] == 110
    assert 76 < between.mean() < 110
    assert abs(between[1] - between[0]) < 34


def test_the_seed_decides_noise_and_bias(head):
    first, again, other = (render(head, "t1", seed).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 5


def test_a_stripped_image_holds_the_brain_and_the_fluid_of_its_fissure(head):
    mask = brain_mask(head.data.numpy())
    labels = head.data.numpy()
    assert not mask[labels >= 500].any()
    assert mask[np.isin(labels, (2, 3, 41, 42))].all()
    assert mask[24, 26, 51]  # in the fissure
    stripped = render(head, "t1", seed=1, stripped=True)
    assert stripped.image.shape < head.grid.shape
    assert (stripped.image[0] == 0).all()
    brain = stripped.structures > 0
    assert stripped.image[brain].mean() > 60
    _assert_on_anatomy(stripped, head)


@pytest.mark.parametrize("cut", ["neck", "skull", "left", "right"])
def test_a_cut_leaves_the_rest_in_place(head, cut):
    cropped = render(head, "t1", 3, cut=cut)
    padded = render(head, "t1", 3, cut=cut, padded=True)
    axis, world_side = {"neck": (2, 0), "skull": (2, 1), "left": (0, 0), "right": (0, 1)}[cut]
    lost = head.grid.shape[axis] - cropped.grid.shape[axis]
    assert 0 < lost < 30
    assert padded.grid.shape == head.grid.shape
    _assert_on_anatomy(cropped, head)
    _assert_on_anatomy(padded, head)
    edge = [slice(None)] * 3
    edge[axis] = slice(0, lost) if world_side == 0 else slice(-lost, None)
    assert (padded.image[tuple(edge)] == 0).all()
    assert np.count_nonzero(padded.image) == cropped.image.size


def _assert_on_anatomy(rendered, head):
    """Every labelled voxel lies, in world coordinates, where the head has the same label."""
    places = torch.from_numpy(rendered.structures).nonzero()
    world = rendered.grid.to_world(places.double())
    index = head.grid.to_index(world).round().long()
    there = head.data.numpy()[tuple(index.T.numpy())]
    np.testing.assert_array_equal(there, rendered.structures[rendered.structures > 0])


def test_only_structures_are_judged_and_files_keep_the_grid(head, tmp_path):
    rendered = render(head, "t2", 1, cut="neck")
    assert set(np.unique(rendered.structures)) == {0, 2, 3, 41, 42}
    assert set(STRUCTURES) >= {2, 3, 41, 42}
    write_head(rendered, tmp_path / "t2.nii.gz", tmp_path / "labels.nii.gz")
    image, labels = read_volume(tmp_path / "t2.nii.gz"), read_volume(tmp_path / "labels.nii.gz")
    assert image.grid.same_as(rendered.grid)
    np.testing.assert_allclose(image.data.numpy(), rendered.image, atol=0.51)
    np.testing.assert_array_equal(labels.data.numpy(), rendered.structures)


def test_an_unknown_label_is_refused(head):
    labels = head.data.clone()
    labels[0, 0, 0] = 999
    with pytest.raises(ValueError, match="999"):
        mean_intensities(labels.numpy(), "t1")
