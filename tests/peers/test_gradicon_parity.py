"""The network, the preprocessing and a whole registration beside unigradicon 1.0.6."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zoo.datasets.pairs import PairFiles, load_pair
from zoo.geometry import Grid
from zoo.geometry.displacement_maps import unit_grid
from zoo.io.volume import read_volume
from zoo.networks import GradICON
from zoo.registration.intensity import GradICONIntensity
from zoo.registration.working_grid import ResizedFrame, resize
from zoo.registration.working_pair import Image

unigradicon = pytest.importorskip("unigradicon", exc_type=ImportError)
itk = pytest.importorskip("itk", exc_type=ImportError)

pytestmark = pytest.mark.peers


def networks(shape, liveliness=0.04):
    """Return upstream's network and ours with the same random weights and statistics."""
    generator = torch.Generator().manual_seed(11)
    theirs = unigradicon.make_network([1, 1, *shape], include_last_step=True).eval()
    for name, tensor in theirs.regis_net.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if "batchNorms" in name and tensor.is_floating_point():
            tensor.copy_(noise * 0.1 + name.endswith(("weight", "var")))
        elif "lastConv" in name:
            tensor.copy_(noise * liveliness)
    ours = GradICON().eval()
    ours.load_state_dict(theirs.regis_net.state_dict(), strict=True)
    return theirs, ours


def smooth(shape, seed):
    coarse = torch.rand(
        1, 1, *[n // 7 for n in shape], generator=torch.Generator().manual_seed(seed)
    )
    return F.interpolate(coarse, size=shape, mode="trilinear")


@pytest.mark.parametrize("shape", [(81, 67, 95), (66, 72, 65)])
def test_vector_fields(shape):
    theirs, ours = networks(shape)
    a, b = smooth(shape, 1), smooth(shape, 2)
    points = torch.rand(1, 3, 11, 12, 13, generator=torch.Generator().manual_seed(3)) * 1.2 - 0.1
    with torch.no_grad():
        theirs(a, b)
        for phi, result in ((theirs.phi_AB, ours.map(a, b)), (theirs.phi_BA, ours.map(b, a))):
            expected = phi(theirs.identity_map)
            assert (expected - theirs.identity_map).abs().max() > 0.03
            assert (result.on_grid(shape) - expected).abs().max() < 1e-5
            assert (result(points) - phi(points)).abs().max() < 1e-5
        forward, reverse = ours.both_directions(torch.cat([a, b], dim=1))
    steps = torch.tensor(shape).view(1, 3, 1, 1, 1) - 1
    for field, phi in ((forward, theirs.phi_AB_vectorfield), (reverse, theirs.phi_BA_vectorfield)):
        assert (field / steps - (phi - unit_grid(shape, phi))).abs().max() < 1e-5


def test_training_gradients():
    shape = (65, 66, 67)
    theirs, ours = networks(shape)
    a, b = smooth(shape, 1), smooth(shape, 2)
    toward = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(4))
    theirs.identity_map.isIdentity = True
    (theirs.regis_net(a, b)(theirs.identity_map) * toward).mean().backward()
    (ours.map(a, b).on_grid(shape) * toward).mean().backward()
    expected = dict(theirs.regis_net.named_parameters())
    for name, parameter in ours.named_parameters():
        scale = expected[name].grad.abs().max()
        assert (parameter.grad - expected[name].grad).abs().max() < 1e-2 * scale, name


def write(path, shape, spacing, seed, modality, degrees=17.0):
    """Write a rotated anisotropic volume of `shape` (x, y, z) and return its path."""
    data = smooth(shape[::-1], seed)[0, 0].numpy()
    data = (data * 2600 - 1200).round().astype(np.int16) if modality == "ct" else data * 731.7
    image = itk.image_from_array(np.ascontiguousarray(data))
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    tilt = np.array(
        [
            [1, 0, 0],
            [0, np.cos(angle / 2), -np.sin(angle / 2)],
            [0, np.sin(angle / 2), np.cos(angle / 2)],
        ]
    )
    image.SetSpacing(spacing)
    image.SetOrigin((-40.0, 25.0, 130.0))
    image.SetDirection(itk.matrix_from_array(turn @ tilt))
    itk.imwrite(image, str(path))
    return path


def axes_reversed(volume):
    """Return a volume's data and grid in the order of ITK's arrays, [Z, Y, X]."""
    grid = volume.grid
    affine = grid.affine[:, [2, 1, 0, 3]]
    return volume.data.float().permute(2, 1, 0), Grid(grid.shape[::-1], affine)


@pytest.mark.parametrize("modality", ["ct", "mri"])
def test_preprocessing_bit_for_bit(modality, tmp_path):
    path = write(tmp_path / "a.nii.gz", (50, 41, 37), (0.9, 1.3, 2.5), 5, modality)
    theirs = torch.Tensor(np.array(unigradicon.preprocess(itk.imread(str(path)), modality)))
    data, _ = axes_reversed(read_volume(path))
    ours = GradICONIntensity(modality[:2])(data)
    assert torch.equal(ours, theirs)
    size = (67, 43, 30)
    expected = F.interpolate(theirs[None, None], size=size, mode="trilinear", align_corners=False)
    assert torch.equal(resize(ours[None, None], size), expected)


@pytest.mark.parametrize("modality", ["ct", "mri"])
def test_registration_from_files_to_world(modality, tmp_path):
    shape = (67, 70, 66)
    theirs, ours = networks(shape, liveliness=0.02)
    fixed_path = write(tmp_path / "fixed.nii.gz", (90, 55, 38), (0.8, 1.5, 2.5), 5, modality)
    moving_path = write(
        tmp_path / "moving.nii.gz", (60, 77, 41), (1.1, 1.0, 3.0), 6, modality, degrees=-9
    )
    moving, fixed = (
        unigradicon.preprocess(itk.imread(str(p)), modality) for p in (moving_path, fixed_path)
    )
    expected, expected_reverse = unigradicon.icon_registration.itk_wrapper.register_pair(
        theirs, moving, fixed
    )

    pair = load_pair(PairFiles(fixed=fixed_path, moving=(moving_path,)))
    images = []
    for volume in (pair.moving[0], pair.fixed):
        data, grid = axes_reversed(volume)
        images.append(Image(GradICONIntensity(modality[:2])(data), grid))
    work = ResizedFrame(shape)(images[1], images[:1], pair, None)
    with torch.no_grad():
        forward, reverse = ours.both_directions(work.image)
    pairs = (
        (work.transform(forward), expected, images[1].grid),
        (work.reverse_transform(reverse), expected_reverse, images[0].grid),
    )
    flip = np.array([-1.0, -1.0, 1.0])
    for transform, peer, grid in pairs:
        index = torch.rand(500, 3, generator=torch.Generator().manual_seed(7))
        index = (index * (torch.tensor(grid.shape) - 1)).round()
        points = grid.to_world(index)
        result = transform.map_points(points).numpy()
        wanted = [peer.TransformPoint((p * flip).tolist()) for p in points.numpy()]
        wanted = np.array([list(p) for p in wanted]) * flip
        assert np.abs(result - points.numpy()).max() > 5
        assert np.abs(result - wanted).max() < 1e-2
