"""Losses and instance optimisation beside icon_registration 1.1.9 and unigradicon 1.0.6."""

import pytest
import torch
import torch.nn.functional as F

from zoo.losses import (
    LNCC,
    MINDSSC,
    NCC,
    SquaredLNCC,
    consistency_points,
    field_map,
    gradicon,
    mind_descriptor,
)
from zoo.losses.filters import gaussian
from zoo.networks import GradICON
from zoo.solvers.instance import ImagePair, Misfit
from zoo.solvers.instance_weights import refine_weights

icon = pytest.importorskip("icon_registration", exc_type=ImportError)
unigradicon = pytest.importorskip("unigradicon", exc_type=ImportError)

pytestmark = pytest.mark.peers

SHAPE = (41, 37, 45)
MEASURES = {
    "lncc": (LNCC(), lambda: icon.LNCC(sigma=5)),
    "lncc2": (SquaredLNCC(), lambda: icon.losses.SquaredLNCC(sigma=5)),
    "mind": (MINDSSC(), lambda: icon.losses.MINDSSC(radius=2, dilation=2)),
}


def smooth(seed, shape=SHAPE, channels=1):
    noise = torch.rand(1, channels, *shape, generator=torch.Generator().manual_seed(seed))
    image = gaussian(noise, 1.5)
    return (image - image.min()) / (image.max() - image.min())


def labels(seed):
    return (4 * smooth(seed)).round().long()


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("masked", [False, True])
def test_similarity(name, masked):
    ours, theirs = MEASURES[name]
    a, b = smooth(1), smooth(2)
    mask = (smooth(3) > 0.5).float() if masked else None
    expected = theirs()(a, b, mask)
    torch.testing.assert_close(ours(a, b, mask), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MEASURES)
def test_similarity_gradient(name):
    ours, theirs = MEASURES[name]
    b = smooth(2)
    slopes = []
    for measure in (ours, theirs()):
        a = smooth(1).requires_grad_()
        slopes.append(torch.autograd.grad(measure(a, b), a)[0])
    scale = float(slopes[1].abs().max())
    torch.testing.assert_close(slopes[0], slopes[1], atol=1e-3 * scale, rtol=0)


def test_ncc():
    a, b = smooth(1), smooth(2)
    torch.testing.assert_close(NCC()(a, b), icon.losses.NCC()(a, b), atol=1e-5, rtol=0)


def test_mind_descriptor():
    image = smooth(4)
    theirs = icon.losses.MINDSSC(2, 2).compute_mindssc(image)[0].flatten(1)
    distances = torch.cdist(mind_descriptor(image)[0].flatten(1), theirs)
    assert sorted(distances.argmin(1).tolist()) == list(range(12))
    assert float(distances.min(1).values.max()) < 1e-2  # over 68,000 voxels


class Fixed(icon.RegistrationModule):
    """A network that gives one of two fields, by which image comes first."""

    def __init__(self, moving, forward, reverse):
        super().__init__()
        self.moving, self.fields = moving, (forward, reverse)

    def forward(self, image_A, image_B):
        field = self.fields[0 if torch.equal(image_A, self.moving) else 1]
        sampled = self.as_function(field)
        return lambda points: points + sampled(points)


def fields(seed):
    return [0.02 * (smooth(seed + k, channels=3) - 0.5) for k in range(2)]


@pytest.mark.parametrize(
    ("name", "masked", "mass", "dice"),
    [
        ("lncc", False, False, 0.0),
        ("lncc", True, False, 0.5),
        ("lncc", True, True, 0.0),
        ("lncc", False, True, 0.5),
        ("lncc2", True, True, 0.0),
        ("mind", True, True, 0.0),
    ],
)
def test_the_whole_loss(name, masked, mass, dice):
    """Everything the reference can add up, under the same random points."""
    moving, fixed = smooth(1), smooth(2)
    masks = [(smooth(k) > 0.4).float() for k in (3, 4)] if masked else [None, None]
    forward, reverse = fields(5)
    network = unigradicon.GradientICONSparse(
        Fixed(moving, forward, reverse),
        MEASURES[name][1](),
        lmbda=1.5,
        apply_intensity_conservation_loss=mass,
        dice_loss_weight=dice,
        loss_function_masking=masked,
    )
    network.assign_identity_map([1, 1, *SHAPE])
    torch.manual_seed(7)
    theirs = network(
        moving,
        fixed,
        mask_A=masks[0],
        mask_B=masks[1],
        segmentation_A=labels(8),
        segmentation_B=labels(9),
    )

    pair = ImagePair(moving, fixed, *masks, labels(8), labels(9))
    last = torch.tensor([n - 1.0 for n in SHAPE]).view(1, 3, 1, 1, 1)
    displacement = torch.cat([forward, reverse]) * last
    misfit = Misfit(pair, MEASURES[name][0], dice_weight=dice, mass=mass)(displacement)
    points = consistency_points(SHAPE, torch.Generator().manual_seed(7))
    consistency = gradicon(field_map(displacement[:1]), field_map(displacement[1:]), points)
    torch.testing.assert_close(consistency, theirs.inverse_consistency_loss, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        misfit, theirs.similarity_loss + dice * getattr(theirs, "dice_loss", 0), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(misfit + 1.5 * consistency, theirs.all_loss, atol=1e-5, rtol=0)


def randomised(network):
    """Give the last layers and the batch norms something to do."""
    generator = torch.Generator().manual_seed(11)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if "lastConv" in name:
            value.copy_(0.005 * noise)
        elif "batchNorms" in name and "num" not in name:
            value.copy_((1 if "var" in name or "weight" in name else 0) + 0.1 * noise)


def test_five_steps_of_instance_optimisation():
    """The same losses and the same field after five steps from the same weights."""
    shape, steps, rate = (65, 67, 70), 5, 2e-5
    moving = F.interpolate(smooth(1, (20, 20, 20)), size=shape, mode="trilinear")
    fixed = F.interpolate(smooth(1, (20, 20, 20)).roll(1, 3), size=shape, mode="trilinear")
    reference = unigradicon.make_network(
        [1, 1, *shape], include_last_step=True, loss_fn=icon.LNCC(sigma=5)
    )
    randomised(reference.regis_net)
    network = GradICON(16)
    network.load_state_dict(reference.regis_net.state_dict())
    reference.eval()

    torch.manual_seed(3)
    optimiser = torch.optim.Adam(reference.parameters(), lr=rate)
    expected = []
    for _ in range(steps):
        optimiser.zero_grad()
        losses = reference(moving, fixed)
        losses.all_loss.backward()
        optimiser.step()
        expected.append(float(losses.all_loss.detach()))
    with torch.no_grad():
        reference(moving, fixed)
    last = torch.tensor([n - 1.0 for n in shape]).view(1, 3, 1, 1, 1)
    field = (reference.phi_AB_vectorfield - reference.identity_map) * last

    ours = refine_weights(
        network,
        ImagePair(moving, fixed),
        steps=steps,
        learning_rate=rate,
        generator=torch.Generator().manual_seed(3),
    )
    assert abs(expected[-1] - expected[0]) > 1e-2
    torch.testing.assert_close(
        torch.tensor([step.loss for step in ours.trace]), torch.tensor(expected), atol=1e-4, rtol=0
    )
    assert float((ours.displacement - field).abs().mean()) < 1e-2
