"""Training objectives: their terms, the parts they train, and a short training on one pair."""

from __future__ import annotations

import pytest
import torch

from zoo.errors import UserError
from zoo.geometry.sampling import identity_index, sample
from zoo.losses import LNCC, field_map, gradicon, gradient_penalty, similarity_named
from zoo.losses.regularity import consistency_points
from zoo.networks import GradICON, UniReg
from zoo.networks.unireg_tasks import TASKS
from zoo.synthesis.subjects import draw_pair
from zoo.training.objectives import GradICONObjective, UniRegObjective

SIZE = 65


@pytest.fixture(scope="module")
def images():
    pair = draw_pair(2, (SIZE,) * 3, contrasts=2, region="brain")
    return pair.fixed[:, None], pair.moving[:, None]


def random_network(width: int = 2) -> GradICON:
    """A network with a displacement that is not zero: its last layers are random."""
    torch.manual_seed(0)
    network = GradICON(width=width).eval()
    for name, weight in network.named_parameters():
        if "lastConv" in name:
            torch.nn.init.normal_(weight, std=0.03)
    return network


def test_the_gradicon_loss_sums_both_directions_and_the_consistency(images):
    fixed, moving = (x[:1] for x in images)
    network = random_network()
    losses = GradICONObjective(network, "lncc", 1.5)(
        fixed, moving, generator=torch.Generator().manual_seed(4)
    )
    with torch.no_grad():
        forward, backward = network.both_directions(torch.cat([moving, fixed], dim=1))
        index = identity_index((SIZE,) * 3)
        measure = similarity_named("lncc")
        expected = measure(sample(moving, index + forward, outside="zeros"), fixed)
        expected = expected + measure(sample(fixed, index + backward, outside="zeros"), moving)
        points = consistency_points((SIZE,) * 3, torch.Generator().manual_seed(4))
        consistency = gradicon(field_map(forward), field_map(backward), points)
    torch.testing.assert_close(losses["similarity"], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(losses["gradicon"], consistency, atol=1e-5, rtol=1e-3)
    total = losses["similarity"] + 1.5 * losses["gradicon"]
    torch.testing.assert_close(losses["loss"].detach(), total)


def test_the_similarity_compares_the_loss_images_under_the_map_of_the_inputs(images):
    (fixed, other_fixed), (moving, other_moving) = (x.split(1) for x in images)
    network = random_network()
    objective = GradICONObjective(network)
    plain = objective(fixed, moving)
    randomised = objective(fixed, moving, other_fixed, other_moving)
    assert not torch.isclose(plain["similarity"], randomised["similarity"])
    with torch.no_grad():
        index = identity_index((SIZE,) * 3) + network(torch.cat([moving, fixed], dim=1))
        one_way = LNCC()(sample(other_moving, index, outside="zeros"), other_fixed)
    assert abs(float(randomised["similarity"]) / 2 - float(one_way)) < 0.05


@pytest.mark.parametrize(("steps", "trained"), [(2, 2), (3, 3), (4, 4)])
def test_a_stage_trains_its_u_nets_and_no_others(images, steps, trained):
    fixed, moving = (x[:1, :, ::2, ::2, ::2] if steps == 2 else x[:1] for x in images)
    network = random_network()
    GradICONObjective(network, steps=steps)(fixed, moving)["loss"].backward()
    names = ["netPhi.netPhi.net.netPhi", "netPhi.netPhi.net.netPsi", "netPhi.netPsi", "netPsi"]
    moved = [
        any(w.grad is not None for n, w in network.named_parameters() if n.startswith(f"{name}."))
        for name in names
    ]
    assert moved == [k < trained for k in range(4)]


def test_the_true_displacement_contributes_where_it_is_given(images):
    fixed, moving = (x[:1] for x in images)
    truth = torch.full((1, 3, SIZE, SIZE, SIZE), 2.0)
    identity = GradICON(width=2).eval()
    objective = GradICONObjective(identity, truth_weight=0.5)
    generator = torch.Generator()
    with_truth = objective(fixed, moving, truth=truth, generator=generator.manual_seed(0))
    without = objective(fixed, moving, generator=generator.manual_seed(0))
    gain = float((with_truth["loss"] - without["loss"]).detach())
    assert gain == pytest.approx(0.5 * 2 * 3**0.5, rel=1e-4)


def test_the_true_displacement_contributes_after_each_u_net(images):
    fixed, moving = (x[:1] for x in images)
    network = GradICON(width=2).eval()
    step = torch.tensor([0.01, 0.02, -0.01])
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("lastConv.bias"):
                weight.copy_(10 * step)
    truth = torch.zeros(1, 3, SIZE, SIZE, SIZE)
    losses = GradICONObjective(network, regularity=0, truth_weight=1.0)(fixed, moving, truth=truth)
    one = float(step.norm()) * (SIZE - 1)
    assert float(losses["error"]) == pytest.approx(4 * one, rel=1e-4)
    counted = float((losses["loss"] - losses["similarity"]).detach())
    assert counted == pytest.approx((1 + 2 + 3 + 4) / 4 * one, rel=1e-3)


def test_labels_that_match_have_no_dice_loss(images):
    fixed, moving = (x[:1] for x in images)
    identity = GradICON(width=2).eval()
    objective = GradICONObjective(identity, dice_weight=1.0)
    labels = (fixed > 0.3).float()
    same = objective(fixed, moving, fixed_labels=labels, moving_labels=labels)
    shifted = objective(fixed, moving, fixed_labels=labels, moving_labels=labels.roll(6, 2))
    assert float(same["dice"]) == pytest.approx(0, abs=1e-5)
    assert float(shifted["dice"]) > 0.1
    with pytest.raises(UserError, match="label maps"):
        objective(fixed, moving)


def test_an_invalid_number_of_u_nets_is_refused():
    with pytest.raises(UserError, match="2, 3 or 4 are trained, not 5"):
        GradICONObjective(GradICON(width=2), steps=5)


def test_a_few_steps_on_one_pair_improve_its_similarity(images):
    fixed, moving = (x[:1, :, ::2, ::2, ::2] for x in images)
    torch.manual_seed(0)
    network = GradICON(width=2)
    objective = GradICONObjective(network, LNCC(2), steps=2)
    optimiser = torch.optim.Adam(network.netPhi.netPhi.parameters(), lr=1e-3)
    similarities = []
    for _ in range(10):
        optimiser.zero_grad()
        losses = objective(fixed, moving)
        losses["loss"].backward()
        optimiser.step()
        similarities.append(float(losses["similarity"]))
    assert similarities[-1] < 0.9 * similarities[0]


@pytest.mark.parametrize("region", ["liver", "cardiac"])
def test_the_terms_of_unireg_are_weighted_by_the_task(region):
    task = TASKS[region]
    pair = draw_pair(3, (16, 32, 24), region=region)
    fixed, moving = pair.fixed[None], pair.moving[None]
    torch.manual_seed(1)
    network = UniReg()
    with torch.no_grad():
        network.decoder1.dynamic_flow.controller.bias.normal_(std=0.3)
    losses = UniRegObjective(network)(fixed, moving, task)
    flow = network(torch.cat([moving, fixed], dim=1), type=task.type, region=region).detach()
    smoothness = gradient_penalty(flow)
    torch.testing.assert_close(losses["smoothness"], smoothness)
    expected = losses["similarity"] + task.smoothness * smoothness
    torch.testing.assert_close(losses["loss"].detach(), expected)
    assert float(smoothness) > 0


def test_voxels_outside_the_mask_do_not_change_the_similarity_of_unireg():
    task = TASKS["abdomen"]
    pair = draw_pair(3, (32, 32, 32), region="abdomen")
    fixed, moving = pair.fixed[None], pair.moving[None]
    mask = torch.zeros_like(fixed)
    mask[..., :20] = 1
    objective = UniRegObjective(UniReg())
    spoiled = fixed.clone()
    spoiled[..., 26:] = torch.rand_like(spoiled[..., 26:])
    kept = objective(fixed, moving, task, mask)["similarity"]
    with torch.no_grad():  # the same flow, so that only the measure can differ
        objective.network.decoder1.dynamic_flow.controller.bias.zero_()
    assert float(objective(spoiled, moving, task, mask)["similarity"]) == pytest.approx(
        float(kept), abs=2e-3
    )
