"""A training that was stopped goes on as if it had not been."""

import contextlib

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from zoo.errors import UserError
from zoo.training.checkpoint import Checkpoint, read_state, write_state
from zoo.training.dataset import Endless
from zoo.training.step import StepHandler, cosine, total_loss


class Noisy(nn.Module):
    """An objective with random numbers, as the points of GradICON are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x):
        return {"loss": (self.norm(self.layer(x)) - torch.randn(len(x), 1)).square().mean()}


class KilledError(Exception):
    """What ends a run without warning."""


def train(folder, epochs, *, epoch_length=3, kill_at=None, signature=None, seed=0):
    """Train, and return the losses of this run by step."""
    torch.manual_seed(99)
    network = Noisy()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    schedule = cosine(optimizer, 12)
    sampler = Endless(4)
    numbers = [torch.randn(3, generator=torch.Generator().manual_seed(k)) for k in range(99)]
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    losses = {}
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=epochs,
        epoch_length=epoch_length,
        train_data_loader=torch.utils.data.DataLoader(numbers, batch_size=4, sampler=sampler),
        network=network,
        optimizer=optimizer,
        loss_function=total_loss,
        prepare_batch=lambda batch, *_, **__: (batch, None),
        train_handlers=[
            Checkpoint(folder / "checkpoint.safetensors", parts, sampler, signature),
            StepHandler(seed, schedule),
        ],
        decollate=False,
    )

    @trainer.on(Events.ITERATION_COMPLETED)
    def note(engine):
        losses[engine.state.iteration] = engine.state.output["loss"].item()
        if engine.state.iteration == kill_at:
            raise KilledError

    trainer.logger.disabled = True
    with contextlib.suppress(KilledError):
        trainer.run()
    return losses


def test_a_killed_run_goes_on_with_the_losses_it_would_have_had(tmp_path):
    (tmp_path / "a").mkdir()
    whole = train(tmp_path / "a", 4)
    (tmp_path / "b").mkdir()
    before = train(tmp_path / "b", 4, kill_at=8)
    after = train(tmp_path / "b", 4)
    assert list(after) == list(range(7, 13))  # from the end of the last epoch
    assert before | after == whole
    assert len(set(whole.values())) == 12


def test_a_longer_run_goes_on_where_a_shorter_one_ended(tmp_path):
    (tmp_path / "a").mkdir()
    whole = train(tmp_path / "a", 1, epoch_length=9)
    (tmp_path / "b").mkdir()
    first = train(tmp_path / "b", 2)
    rest = train(tmp_path / "b", 1, epoch_length=9)
    assert list(rest) == [7, 8, 9]
    assert first | rest == whole


def test_a_run_that_is_done_does_nothing_more(tmp_path):
    train(tmp_path, 2)
    assert train(tmp_path, 2) == {}


def test_another_seed_gives_other_random_numbers(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert train(tmp_path / "a", 1) != train(tmp_path / "b", 1, seed=1)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(tmp_path, 1, signature={"model": "unigradicon", "width": 4})
    with pytest.raises(UserError, match=r"its width is 4, this one's 16.*another output folder"):
        train(tmp_path, 1, signature={"model": "unigradicon", "width": 16})


def test_a_kill_while_saving_leaves_the_last_whole_checkpoint(tmp_path, monkeypatch):
    train(tmp_path, 1)
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()

    def half(tensors, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.training.checkpoint.save_file", half)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept


def test_states_come_back_as_they_were(tmp_path):
    state = {
        "a": {0: torch.arange(3), "b": [torch.tensor(1.5), 2.25, None, "x", True]},
        "empty": {},
        "view": torch.rand(4, 4)[:, 1],
    }
    write_state(tmp_path / "s.safetensors", state, {"k": [1, 2]})
    found, signature = read_state(tmp_path / "s.safetensors")
    assert signature == {"k": [1, 2]}
    assert torch.equal(found["a"][0], state["a"][0])
    assert found["a"]["b"][1:] == [2.25, None, "x", True]
    assert found["empty"] == {}
    assert torch.equal(found["view"], state["view"])


def test_weights_are_no_checkpoint(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="no checkpoint"):
        read_state(tmp_path / "w.safetensors")
