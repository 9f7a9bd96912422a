"""Labels that steer: a pair whose images share no contrast is aligned by them alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from zoo import UserError
from zoo.datasets.pairs import Pair
from zoo.geometry import Transform
from zoo.hub.bundles import bundle_folder
from zoo.io.volume import Volume
from zoo.registration.guidance import register_guided, register_with_labels
from zoo.registration.result import RegisteredPair
from zoo.runtime.registrar import open_registrar
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def phantom():
    """A phantom whose moving image is noise, with its labels on another grid."""
    made = make_pair(5, shape=(34, 30, 28), spacing=(4, 4, 4.5), moving_axes="SAR", axes="LPS")
    noise = torch.rand(made.moving.shape, generator=torch.Generator().manual_seed(0))
    pair = Pair(
        "phantom",
        Volume(made.fixed, made.fixed_grid, Path("fixed.nii")),
        (Volume(noise, made.moving_grid, Path("moving.nii")),),
        Volume(made.fixed_labels, made.fixed_grid, Path("fixed_labels.nii")),
        Volume(made.moving_labels, made.moving_grid, Path("moving_labels.nii")),
    )
    return pair, made


def unmoved(pair):
    return RegisteredPair(pair, Transform.identity())


def test_the_images_get_the_same_edges_and_the_result_has_the_original_images(phantom):
    pair, _ = phantom
    seen = []
    found = register_guided(lambda p: seen.append(p) or unmoved(p), pair, "labels")
    assert found.pair is pair
    record = found.notes["guide"]
    both = set(pair.fixed_labels.data.unique().tolist()) - {0}
    assert set(record["guiding"]) | set(record["held_out"]) == both
    assert len(record["held_out"]) == len(both) // 5
    assert record["held_out_dice_before"] == record["held_out_dice_after"]
    (raised,) = seen
    for label in record["guiding"][:3]:
        means = [
            float(volume.data[labels.data == label].mean() - volume.data[labels.data == 0].mean())
            for volume, labels in (
                (raised.fixed, pair.fixed_labels),
                (raised.moving[0], pair.moving_labels),
            )
        ]
        # The images themselves span 1000.
        assert min(means) > 0
        assert abs(means[0] - means[1]) < 1000


def test_labels_align_what_the_images_do_not_show(phantom):
    """Neither the landmarks nor the labels that are held out steer."""
    pair, made = phantom
    bundle = bundle_folder("mcbo")
    overrides = {
        "bar": False,
        "pairs": [],
        "handlers": [],
        "output_dir": "unused",
        "bundle_root": str(bundle.absolute()),
        "device": "$torch.device('cpu')",
    }
    with open_registrar(bundle, overrides, settings={}) as registrar:
        found = register_with_labels(registrar.register, pair)
    record = found.notes["guide"]
    assert record["guiding_dice_after"] > record["guiding_dice_before"] + 0.05
    assert record["held_out_dice_after"] > record["held_out_dice_before"]
    before = (made.fixed_points - made.moving_points).norm(dim=1).mean()
    error = (found.transform.map_points(made.fixed_points) - made.moving_points).norm(dim=1)
    assert error.mean() < 0.6 * before


def test_missing_and_different_labels_are_refused(phantom):
    pair, _ = phantom
    with pytest.raises(UserError, match="add --fixed-labels"):
        register_with_labels(unmoved, replace(pair, fixed_labels=None))
    other = replace(pair.moving_labels, data=pair.moving_labels.data + 100)
    with pytest.raises(UserError, match="no label in common"):
        register_with_labels(unmoved, replace(pair, moving_labels=other))
