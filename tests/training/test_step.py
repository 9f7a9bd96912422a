"""The pieces of a training step."""

import pytest
import torch
from torch import nn

from zoo.errors import UserError
from zoo.networks import GradICON
from zoo.registration.weights import SelectedWeights
from zoo.training.objectives import GradICONObjective
from zoo.training.step import (
    StepHandler,
    TrainingInferer,
    cosine,
    prepare_training,
)


def batch(**more):
    image = torch.arange(2.0).view(1, 2, 1, 1, 1).expand(3, 2, 4, 5, 6)
    return {"image": image, "names": ["a", "b", "c"], "task": {}} | more


def test_the_objective_gets_the_fixed_image_first_and_what_else_there_is():
    labels = torch.arange(2).view(1, 2, 1, 1, 1).expand(3, 2, 4, 5, 6)
    given = batch(labels=labels, loss_image=10 + batch()["image"], task={"task": "t"})
    fixed, nothing, (moving,), more = prepare_training(given, torch.device("cpu"))
    assert nothing is None
    assert (fixed == 1).all()
    assert (moving == 0).all()
    assert (more["fixed_loss"] == 11).all()
    assert (more["moving_loss"] == 10).all()
    assert (more["fixed_labels"] == 1).all()
    assert (more["moving_labels"] == 0).all()
    assert more["task"] == "t"
    assert fixed.shape == moving.shape == (3, 1, 4, 5, 6)


class Engine:
    """As much of a trainer as a handler looks at."""

    def __init__(self, iteration=7, **losses):
        self.state = type("State", (), {})()
        self.state.iteration = iteration
        self.state.batch = batch()
        self.state.output = {"pred": {k: torch.tensor(v) for k, v in losses.items()}}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_pairs(bad):
    with pytest.raises(UserError, match=r"step 7 .*similarity.* on a, b, c"):
        StepHandler().guard(Engine(loss=0.5, similarity=bad))
    StepHandler().guard(Engine(loss=0.5, similarity=0.5))


def test_random_numbers_are_those_of_the_seed_and_the_step():
    def draw(seed, iteration):
        StepHandler(seed).seed_step(Engine(iteration))
        return torch.randn(3).tolist()

    assert draw(0, 4) == draw(0, 4)
    assert len({tuple(draw(s, i)) for s in range(3) for i in range(1, 5)}) == 12


def test_the_gradient_is_held_to_its_limit():
    engine = Engine()
    engine.network = nn.Linear(2, 1)
    (1000 * engine.network(torch.ones(1, 2))).sum().backward()
    StepHandler(clip=1.0).hold(engine)
    norm = torch.cat([p.grad.flatten() for p in engine.network.parameters()]).norm()
    assert norm == pytest.approx(1.0, rel=1e-4)


def test_the_rate_falls_along_half_a_cosine_or_stays():
    for decay, expected in ((True, [1, 0.505, 0.01]), (False, [1, 1, 1])):
        optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=1.0)
        schedule = cosine(optimizer, 10, decay=decay)
        rates = []
        for _ in range(11):
            rates.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        assert [rates[0], rates[5], rates[10]] == pytest.approx(expected)


def tiny_objective():
    torch.manual_seed(1)
    objective = GradICONObjective(GradICON(width=2), steps=2).train()
    for parameter in objective.network.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return objective


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 1, 1, 65, 65, 65)


def test_frozen_norm_keeps_its_statistics_and_trains_its_weights(images):
    for frozen in (False, True):
        objective = tiny_objective()
        norm = objective.network.netPhi.netPhi.net.netPsi.net.batchNorms[4]
        before = norm.running_mean.clone()
        TrainingInferer(freeze_norm=frozen)(images[0], objective, images[1])["loss"].backward()
        assert torch.equal(before, norm.running_mean) == frozen
        assert norm.weight.grad.abs().sum() > 0


def test_with_frozen_norm_a_batch_loses_the_mean_of_its_pairs(images):
    """So processes that share a batch lose what one process loses, given the same random points."""
    fixed, moving = torch.cat([images[0], images[1]]), torch.cat([images[1], images[0].flip(2)])
    objective = tiny_objective()
    inferer = TrainingInferer(freeze_norm=True)

    def loss(one, other):
        torch.manual_seed(3)
        with torch.no_grad():
            return float(inferer(one, objective.train(), other)["loss"])

    apart = [loss(fixed[k : k + 1], moving[k : k + 1]) for k in range(2)]
    assert loss(fixed, moving) == pytest.approx(sum(apart) / 2, rel=1e-5)
    assert apart[0] != pytest.approx(apart[1], rel=1e-3)


def test_bfloat16_gives_nearly_the_same_loss_and_gradient(images):
    found = {}
    for precision in ("float32", "bfloat16"):
        objective = tiny_objective()
        torch.manual_seed(0)
        losses = TrainingInferer(precision)(images[0], objective, images[1])
        losses["loss"].backward()
        gradient = objective.network.netPhi.netPhi.net.netPsi.net.lastConv.weight.grad
        found[precision] = (losses, gradient)
    (exact, slope), (mixed, mixed_slope) = found["float32"], found["bfloat16"]
    assert not torch.equal(exact["loss"], mixed["loss"])
    assert mixed["similarity"] == pytest.approx(float(exact["similarity"]), rel=0.01)
    cosine_of = torch.cosine_similarity(slope.flatten(), mixed_slope.flatten(), 0)
    assert cosine_of > 0.95


def test_scratch_leaves_the_network_as_it_is_made():
    network = GradICON(width=2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert SelectedWeights("unigradicon", "scratch", ".").load_into(network) is network
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert SelectedWeights("unigradicon", "scratch", ".").origin() == {"variant": "scratch"}


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="float32 or bfloat16"):
        TrainingInferer("float16")


def test_of_accumulated_gradients_the_sum_is_held():
    """Four equal gradients of norm 10: clipped one by one, the last would weigh most."""
    network = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(network.weight)
    engine = Engine()
    engine.network, engine.optimizer = network, torch.optim.SGD(network.parameters(), lr=1.0)
    StepHandler(clip=1.0).watch(engine)
    for seen in ([10.0, 0.0], [0.0, 10.0]):
        network(torch.tensor([seen])).sum().backward()
    engine.optimizer.step()
    torch.testing.assert_close(network.weight.detach(), -torch.ones(1, 2) / 2**0.5)
