"""Training pairs are prepared as for inference; labels and masks are aligned with the images."""

import pytest
import torch
from support.train_cases import write_images
from torch import nn

from zoo.datasets.pairs import load_pair, pair_files
from zoo.io.volume import write_volume
from zoo.registration.gradicon import GradICONInferer
from zoo.registration.intensity import GradICONIntensity
from zoo.registration.unireg import UniRegInferer
from zoo.registration.working_grid import NativeFrame, ResizedFrame
from zoo.synthesis.phantom import make_pair
from zoo.training.preparation import PairPreparation

SIZE = (10, 12, 14)
FIXED, MOVING = "Ph_0002_0000.nii.gz", "Ph_0003_0000.nii.gz"


def files_in(root, labels=False):
    more = {}
    if labels:
        more = {
            "fixed_labels": root / "labelsTr" / FIXED,
            "moving_labels": root / "labelsTr" / MOVING,
        }
    return pair_files(root / "imagesTr" / FIXED, root / "imagesTr" / MOVING, **more)


class RecordingNetwork(nn.Module):
    """A network that keeps its input."""

    def forward(self, image):
        self.image = image
        return torch.zeros(len(image), 3, *image.shape[2:])


@pytest.mark.parametrize("affine", ["none", "com"])
def test_the_network_sees_the_same_images_in_training_and_inference(tmp_path, affine):
    write_images(tmp_path, cases=(1,), shape=(16, 18, 14), axes="LPS", tilt_degrees=10)
    options = {"intensity": GradICONIntensity("mr"), "affine": affine, "bar": False}
    inferer = GradICONInferer(ResizedFrame(SIZE), **options)
    prepared = PairPreparation(inferer)(files_in(tmp_path, labels=True))
    network = RecordingNetwork()
    inferer(load_pair(files_in(tmp_path)), network)
    assert torch.equal(prepared.image[None], network.image)
    assert prepared.image.shape == (2, *SIZE[::-1])
    assert prepared.labels is None  # because they were not requested
    assert prepared.mask is None


def test_the_alignment_of_a_pair_is_computed_once_with_and_without_labels(tmp_path):
    write_images(tmp_path, cases=(1,), shape=(16, 18, 14))
    preparation = PairPreparation(GradICONInferer(ResizedFrame(SIZE), affine="com"))
    preparation(files_in(tmp_path))
    (first,) = preparation.alignments.values()
    preparation(files_in(tmp_path, labels=True), labels=True)
    (second,) = preparation.alignments.values()
    assert second is first


@pytest.mark.parametrize("affine", ["none", "com", "affine"])
def test_labels_are_aligned_with_the_images(tmp_path, affine):
    """Images that are their own label maps agree with them except for interpolation."""
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    first = make_pair(1, shape=(28, 26, 24), axes="LPS", tilt_degrees=15)
    second = make_pair(1, shape=(30, 22, 26), axes="SRA", tilt_degrees=-5)
    for name, labels, grid in (
        (FIXED, first.fixed_labels, first.fixed_grid),
        (MOVING, second.moving_labels, second.moving_grid),
    ):
        write_volume(tmp_path / "imagesTr" / name, labels.float() + 0.25, grid)
        write_volume(tmp_path / "labelsTr" / name, labels, grid)
    preparation = PairPreparation(GradICONInferer(ResizedFrame((40, 40, 40)), affine=affine))
    prepared = preparation(files_in(tmp_path, labels=True), labels=True)
    for image, labels in zip(prepared.image, prepared.labels, strict=True):
        inside = image >= 0.25
        difference = (image - 0.25 - labels).abs()[inside]
        assert (difference < 1e-3).float().mean() > 0.6  # the rest are borders between labels
        assert (difference <= 0.51).float().mean() > 0.75


def test_the_mask_covers_the_field_of_view_of_the_moving_image(tmp_path):
    pair = make_pair(1, shape=(20, 20, 20))
    write_images(tmp_path, cases=(1,), shape=(20, 20, 20))
    shifted = pair.moving_grid.affine.clone()
    shifted[0, 3] += 20.0  # ten voxels: half the field of view
    grid = type(pair.moving_grid)(pair.moving_grid.shape, shifted)
    write_volume(tmp_path / "imagesTr" / MOVING, pair.moving, grid, torch.int16)
    preparation = PairPreparation(UniRegInferer(NativeFrame(), affine="none"))
    prepared = preparation(files_in(tmp_path), mask=True)
    across = prepared.mask[0].mean((0, 1))  # UniReg's last axis runs left to right
    assert across.tolist() == [0.0] * 10 + [1.0] * 10
