"""The parts of a training step."""

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
    cosine_schedule,
    prepare_training,
)


def batch(**more):
    image = torch.arange(2.0).view(1, 2, 1, 1, 1).expand(3, 2, 4, 5, 6)
    return {"image": image, "names": ["a", "b", "c"], "task": {}} | more


def test_a_batch_becomes_the_arguments_of_an_objective():
    labels = torch.arange(2).view(1, 2, 1, 1, 1).expand(3, 2, 4, 5, 6)
    collated = batch(labels=labels, loss_image=10 + batch()["image"], task={"task": "t"})
    fixed, target, (moving,), keywords = prepare_training(collated, torch.device("cpu"))
    assert target is None
    assert (fixed == 1).all()
    assert (moving == 0).all()
    assert (keywords["fixed_loss"] == 11).all()
    assert (keywords["moving_loss"] == 10).all()
    assert (keywords["fixed_labels"] == 1).all()
    assert (keywords["moving_labels"] == 0).all()
    assert keywords["task"] == "t"
    assert fixed.shape == moving.shape == (3, 1, 4, 5, 6)


class Engine:
    """The parts of a trainer that a handler reads."""

    def __init__(self, iteration=7, **losses):
        self.state = type("State", (), {})()
        self.state.iteration = iteration
        self.state.batch = batch()
        self.state.output = {"pred": {k: torch.tensor(v) for k, v in losses.items()}}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_pairs(bad):
    with pytest.raises(UserError, match=r"step 7 \(similarity .*\) for a, b, c"):
        StepHandler().require_finite(Engine(loss=0.5, similarity=bad))
    StepHandler().require_finite(Engine(loss=0.5, similarity=0.5))


def test_random_numbers_depend_on_the_seed_and_the_step():
    def draw(seed, iteration):
        StepHandler(seed).seed_step(Engine(iteration))
        return torch.randn(3).tolist()

    assert draw(0, 4) == draw(0, 4)
    assert len({tuple(draw(s, i)) for s in range(3) for i in range(1, 5)}) == 12


def test_the_norm_of_the_gradient_is_limited():
    engine = Engine()
    engine.network = nn.Linear(2, 1)
    (1000 * engine.network(torch.ones(1, 2))).sum().backward()
    StepHandler(clip=1.0).clip_gradient(engine)
    norm = torch.cat([p.grad.flatten() for p in engine.network.parameters()]).norm()
    assert norm == pytest.approx(1.0, rel=1e-4)


def test_the_learning_rate_follows_half_a_cosine_or_is_constant():
    for decay, expected in ((True, [1, 0.505, 0.01]), (False, [1, 1, 1])):
        optimizer = torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=1.0)
        schedule = cosine_schedule(optimizer, 10, decay=decay)
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


def test_with_frozen_norm_the_loss_of_a_batch_is_the_mean_over_its_pairs(images):
    """Processes that share a batch therefore have the loss of one process."""
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
    results = {}
    for precision in ("float32", "bfloat16"):
        objective = tiny_objective()
        torch.manual_seed(0)
        losses = TrainingInferer(precision)(images[0], objective, images[1])
        losses["loss"].backward()
        gradient = objective.network.netPhi.netPhi.net.netPsi.net.lastConv.weight.grad
        results[precision] = (losses, gradient)
    (exact, gradient), (mixed, mixed_gradient) = results["float32"], results["bfloat16"]
    assert not torch.equal(exact["loss"], mixed["loss"])
    assert mixed["similarity"] == pytest.approx(float(exact["similarity"]), rel=0.01)
    cosine = torch.cosine_similarity(gradient.flatten(), mixed_gradient.flatten(), 0)
    assert cosine > 0.95


def test_scratch_leaves_the_network_unchanged():
    network = GradICON(width=2)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert SelectedWeights("unigradicon", "scratch", ".").load_into(network) is network
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert SelectedWeights("unigradicon", "scratch", ".").origin() == {"variant": "scratch"}


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="float32 or bfloat16"):
        TrainingInferer("float16")


def test_accumulated_gradients_are_clipped_as_a_whole():
    """Two gradients of norm 10: clipped one by one, the last would have the larger weight."""
    network = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(network.weight)
    engine = Engine()
    engine.network, engine.optimizer = network, torch.optim.SGD(network.parameters(), lr=1.0)
    StepHandler(clip=1.0).register_clipping(engine)
    for image in ([10.0, 0.0], [0.0, 10.0]):
        network(torch.tensor([image])).sum().backward()
    engine.optimizer.step()
    torch.testing.assert_close(network.weight.detach(), -torch.ones(1, 2) / 2**0.5)
