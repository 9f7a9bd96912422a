import math

import pytest
import torch
from torch import nn

from zoo import UserError
from zoo.geometry.displacement_maps import resize_displacement
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import LNCC, NCC, folded_share
from zoo.losses.filters import gaussian
from zoo.networks import GradICON
from zoo.solvers.instance import ImagePair, Misfit, Step, has_converged
from zoo.solvers.instance_field import refine_field
from zoo.solvers.instance_weights import refine_weights

SHAPE = (36, 29, 42)


def texture(points):
    """Return an analytic image [1, 1, ...] in [0, 1] at points [1, 3, ...] in voxels."""
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(12, 3, generator=generator) * 0.35
    phases = 2 * math.pi * torch.rand(12, generator=generator)
    angles = torch.einsum("wk,bkxyz->bwxyz", waves, points) + phases.view(1, -1, 1, 1, 1)
    return 0.5 + torch.sin(angles).sum(1, keepdim=True) / 24


def known_map(amplitude=1.5):
    """Return a smooth displacement [1, 3, X, Y, Z] in voxels."""
    x, y, z = identity_index(SHAPE)[0]
    parts = [torch.sin(y / 7), torch.cos(x / 8 + 1), torch.sin(z / 9 + x / 12)]
    return amplitude * torch.stack(parts)[None]


@pytest.fixture(scope="module")
def phantom():
    """Return a pair with moving(i + d(i)) = fixed(i), and d."""
    index = identity_index(SHAPE)
    return ImagePair(texture(index), texture(index + known_map())), known_map()


def zeros():
    return torch.zeros(1, 3, *SHAPE)


def error(displacement, truth):
    """Return the mean end-point error in voxels, away from the border."""
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    return float((displacement - truth)[inner].norm(dim=1).mean())


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


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


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
    network = GradICON(width=4)
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


@pytest.mark.parametrize(
    "similarity",
    ["lncc", "lncc2", "mind", "ncc", LNCC(2)],
    ids=lambda m: m if isinstance(m, str) else "own",
)
def test_refining_a_field_lowers_its_error_without_folding(phantom, similarity):
    pair, truth = phantom
    refined = refine_field(
        zeros(), pair, reverse=zeros(), similarity=similarity, generator=seeded(), learning_rate=0.2
    )
    assert refined.trace[-1].loss < refined.trace[0].loss
    assert error(zeros(), truth) > 1.7
    assert error(refined.displacement, truth) < 0.6
    assert folded_share(refined.displacement) == 0


def test_the_reverse_field_becomes_the_inverse(phantom):
    refined = refine_field(zeros(), phantom[0], reverse=zeros(), steps=60, generator=seeded())
    back = sample(refined.reverse, identity_index(SHAPE) + refined.displacement)
    assert error(refined.displacement, -back) < 0.5


def test_a_field_without_reverse_is_refined_in_one_direction(phantom):
    pair, truth = phantom
    refined = refine_field(zeros(), pair)
    assert refined.reverse is None
    assert error(refined.displacement, truth) < 0.8


def test_a_good_prediction_is_kept(phantom):
    pair, truth = phantom
    refined = refine_field(truth, pair)
    assert error(refined.displacement, truth) < 0.25


def test_voxels_outside_the_mask_do_not_count(phantom):
    """A patch of the fixed image is shifted by four voxels, as a moved lesion would be."""
    pair, truth = phantom
    patch = (slice(None), slice(None), slice(12, 24), slice(8, 20), slice(14, 28))
    shift = torch.tensor([0.0, 4.0, 0.0]).view(1, 3, 1, 1, 1)
    fixed = pair.fixed.clone()
    fixed[patch] = texture(identity_index(SHAPE) + truth + shift)[patch]
    mask = torch.ones_like(fixed)
    mask[:, :, 8:28, 4:24, 10:32] = 0
    unmasked = refine_field(zeros(), ImagePair(pair.moving, fixed), generator=seeded())
    masked = refine_field(
        zeros(), ImagePair(pair.moving, fixed, fixed_mask=mask), generator=seeded()
    )
    away = [(run.displacement - truth)[patch].norm(dim=1).mean() for run in (unmasked, masked)]
    assert float(away[1]) < 0.6 * float(away[0])


def test_labels_drive_the_refinement_of_constant_images():
    flat = torch.full((1, 1, 24, 24, 24), 0.5)
    moving, fixed = (torch.zeros(1, 1, 24, 24, 24, dtype=torch.long) for _ in range(2))
    moving[:, :, 6:16, 6:16, 6:16] = 3
    fixed[:, :, 9:19, 6:16, 6:16] = 3
    pair = ImagePair(flat, flat, moving_labels=moving, fixed_labels=fixed)
    start = torch.zeros(1, 3, 24, 24, 24)
    refined = refine_field(start, pair, dice_weight=1.0, regularity=0.1)
    shift = refined.displacement[0, :, 14, 11, 11]
    assert float(shift[0]) < -1.5
    assert float(shift[1:].abs().max()) < 0.5


def test_mass_is_conserved_on_request():
    """With conservation of mass, denser tissue is explained by compression."""
    generator = seeded(3)
    image = 0.3 + 0.1 * gaussian(torch.randn(1, 1, 24, 24, 24, generator=generator), 1.5)
    squeeze = 0.1 * (identity_index((24, 24, 24)) - 11.5)
    pair = ImagePair(image, image)
    plain, mass = (Misfit(pair, NCC(), both=False, mass=flag) for flag in (False, True))
    assert float(mass(torch.zeros_like(squeeze))) == pytest.approx(0, abs=1e-5)
    assert float(plain(squeeze)) > 0.1
    swelling = squeeze * (identity_index((24, 24, 24))[:, :1] > 12)
    assert float(mass(swelling)) != pytest.approx(float(plain(swelling)), abs=1e-3)


def test_both_directions_are_summed(phantom):
    pair, truth = phantom
    fields = torch.cat([truth, -truth])
    swapped = ImagePair(pair.fixed, pair.moving)
    one, other = (Misfit(p, LNCC(3), both=False) for p in (pair, swapped))
    expected = float(one(truth) + other(-truth))
    assert float(Misfit(pair, LNCC(3))(fields)) == pytest.approx(expected, rel=1e-5)


def test_a_seed_repeats_the_result_and_another_does_not(phantom):
    runs = [
        refine_field(zeros(), phantom[0], reverse=zeros(), steps=5, generator=seeded(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(runs[0].displacement, runs[1].displacement)
    assert runs[0].trace == runs[1].trace
    assert not torch.equal(runs[0].displacement, runs[2].displacement)


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


def test_the_number_of_threads_does_not_change_the_field(phantom):
    threads = torch.get_num_threads()
    fields = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            run = refine_field(zeros(), phantom[0], reverse=zeros(), steps=8, generator=seeded())
            fields.append(run.displacement)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(fields[0], fields[1], atol=1e-4, rtol=0)


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


def test_progress_reports_the_fraction_the_loss_and_the_folding(phantom):
    calls = []
    refine_field(zeros(), phantom[0], steps=4, progress=lambda *call: calls.append(call))
    assert [fraction for fraction, _ in calls] == [0.25, 0.5, 0.75, 1.0]
    assert all("loss 0." in text and "folding 0.000 %" in text for _, text in calls)


def test_a_field_is_the_same_map_at_another_size():
    """A linear field is linear in the same world points at every resolution."""
    shape, coarse = (20, 31, 26), (10, 16, 13)
    field = 0.1 * (identity_index(shape) + 0.5)
    centres = identity_index(coarse) + 0.5
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    torch.testing.assert_close(resize_displacement(field, coarse)[inner], (0.1 * centres)[inner])


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
