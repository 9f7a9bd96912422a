"""Optimising the weights of a network for one pair."""

import pytest
import torch
from support.instance_cases import SHAPE, seeded, zeros
from torch import nn

from zoo import UserError
from zoo.geometry.sampling import identity_index
from zoo.losses.filters import gaussian
from zoo.networks import GradICON
from zoo.solvers.instance import ImagePair, Step, has_converged
from zoo.solvers.instance_field import refine_field
from zoo.solvers.instance_weights import refine_weights


class Tiny(nn.Module):
    """A network with all kinds of state to restore: weights, statistics, modes and flags."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(2, 8, 5, padding=2)
        self.norm = nn.BatchNorm3d(8)
        self.drop = nn.Dropout3d(0.5)
        self.last = nn.Conv3d(8, 3, 5, padding=2)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, image):
        return self.last(self.drop(torch.relu(self.norm(self.first(image)))))


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = Tiny().train()
    network.first.bias.requires_grad_(False)
    return network


def state_of(network):
    values = {name: value.clone() for name, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    flags = [weight.requires_grad for weight in network.parameters()]
    return values, modes, flags


def assert_restored(network, before):
    after = state_of(network)
    for name, value in before[0].items():
        assert torch.equal(after[0][name], value), name
    assert after[1:] == before[1:]
    assert all(weight.grad is None for weight in network.parameters())


class Balance(nn.Module):
    """Shifts by a learned fraction of the distance between the images' centres of mass."""

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.zeros(3))

    def forward(self, image):
        index = identity_index(image.shape[2:])
        centres = [
            (index * part).sum((2, 3, 4), keepdim=True) / part.sum() for part in image.split(1, 1)
        ]
        shift = self.share.view(1, 3, 1, 1, 1) * (centres[0] - centres[1])
        return shift.expand(-1, -1, *image.shape[2:])


def test_refining_weights_finds_a_known_shift():
    index = identity_index(SHAPE)

    def blob(centre):
        away = index - torch.tensor(centre).view(1, 3, 1, 1, 1)
        return torch.exp(-(away**2).sum(1, keepdim=True) / 50)

    network = Balance()
    pair = ImagePair(blob((18.0, 15.0, 20.0)), blob((16.0, 14.0, 23.0)))
    refined = refine_weights(network, pair, steps=60, learning_rate=0.1, generator=seeded())
    assert refined.trace[-1].loss < 0.6 * refined.trace[0].loss
    for field, sign in ((refined.displacement, 1), (refined.reverse, -1)):
        shift = field[0].flatten(1).mean(1)
        torch.testing.assert_close(shift, sign * torch.tensor([2.0, 1.0, -3.0]), atol=0.5, rtol=0)
    assert torch.equal(network.share, torch.zeros(3))


def test_refining_weights_lowers_the_loss_and_restores_them(phantom, network):
    before = state_of(network)
    refined = refine_weights(network, phantom[0], steps=20, learning_rate=1e-3, generator=seeded())
    assert refined.trace[-1].loss < 0.99 * refined.trace[0].loss
    assert refined.reverse is not None
    assert refined.reverse.shape == (1, 3, *SHAPE)
    assert not refined.displacement.requires_grad
    assert_restored(network, before)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_weights_are_restored_after_an_interruption(phantom, network, stop):
    before = state_of(network)

    def progress(fraction, text):
        assert not torch.equal(network.last.weight, before[0]["last.weight"])
        raise stop

    with pytest.raises(stop):
        refine_weights(network, phantom[0], steps=3, progress=progress)
    assert_restored(network, before)


def test_all_weights_are_optimised_and_the_statistics_are_not(phantom, network):
    states = []

    def progress(fraction, text):
        states.append({name: value.clone() for name, value in network.state_dict().items()})

    with torch.no_grad():
        network.last.weight.normal_(std=0.01)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():  # no_grad of the caller does not matter
        refine_weights(network, phantom[0], steps=1, progress=progress)
    moved = {name for name in before if not torch.equal(before[name], states[0][name])}
    assert moved == {name for name, _ in network.named_parameters()}


def test_a_gradicon_network_is_refined_through_its_map():
    torch.manual_seed(0)
    network = GradICON(width=2)
    for name, weight in network.named_parameters():
        if "lastConv" in name:
            nn.init.normal_(weight, std=0.02)
    before = state_of(network)
    images = [gaussian(torch.rand(1, 1, 65, 66, 67, generator=seeded(k)), 2) for k in (1, 2)]
    refined = refine_weights(network, ImagePair(*images), steps=1, learning_rate=0.0)
    with torch.no_grad():
        expected = network.eval()(torch.cat(images, dim=1))
    network.train()
    torch.testing.assert_close(refined.displacement, expected, atol=1e-4, rtol=0)
    assert_restored(network, before)


def test_a_refinement_without_a_generator_ignores_the_global_random_state(phantom, network):
    fields = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        refined = refine_field(zeros(), phantom[0], reverse=zeros(), steps=3)
        weights = refine_weights(network, phantom[0], steps=2, learning_rate=1e-3)
        assert torch.equal(torch.get_rng_state(), state)
        fields.append((refined.displacement, weights.displacement))
    assert torch.equal(fields[0][0], fields[1][0])
    assert torch.equal(fields[0][1], fields[1][1])


def test_it_stops_early_without_a_gain(phantom, network):
    pair, _ = phantom
    stopped = refine_field(zeros(), pair, steps=300, tolerance=0.02)
    assert 20 <= len(stopped.trace) < 100
    assert len(refine_field(zeros(), pair, steps=25, tolerance=0).trace) == 25
    still = refine_weights(network, pair, steps=30, learning_rate=0.0, tolerance=1e-3)
    assert len(still.trace) == 20


def test_convergence_compares_two_windows():
    def trace(*losses):
        return [Step(loss, loss, 0.0, 0.0) for loss in losses]

    assert not has_converged(trace(*[1.0] * 19), 0.01)
    assert has_converged(trace(*[1.0] * 20), 0.01)
    assert not has_converged(trace(*[1.0] * 20), 0.0)
    assert not has_converged(trace(*[1.0] * 10, *[0.98] * 10), 0.01)
    assert has_converged(trace(*[0.98] * 10, *[1.0] * 10), 0.01)


def test_invalid_images_are_refused_with_an_explanation(phantom, network):
    pair, _ = phantom
    broken = pair.fixed.clone()
    broken[0, 0, 3, 3, 3] = float("nan")
    with pytest.raises(UserError, match=r"loss is nan at step 1"):
        refine_field(zeros(), ImagePair(pair.moving, broken))
    before = state_of(network)
    with pytest.raises(UserError, match=r"loss is nan at step 1"):
        refine_weights(network, ImagePair(pair.moving, broken), steps=2)
    assert_restored(network, before)
    with pytest.raises(UserError, match=r"the fixed mask has the shape \[1, 1, 2, 2, 2\]"):
        ImagePair(pair.moving, pair.fixed, fixed_mask=torch.ones(1, 1, 2, 2, 2))
    with pytest.raises(UserError, match=r"\[1, 1, X, Y, Z\]"):
        ImagePair(pair.moving[0], pair.fixed[0])
    with pytest.raises(UserError, match="label maps of both"):
        refine_field(zeros(), pair, dice_weight=1.0)
    with pytest.raises(UserError, match="fields to refine"):
        refine_field(zeros()[..., :-1], pair)
