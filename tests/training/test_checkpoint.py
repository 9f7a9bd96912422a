"""A training that is resumed gives the losses of a training without interruption."""

import contextlib

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from torch import nn

from zoo.errors import UserError
from zoo.training.checkpoint import Checkpoint, read_state, write_state
from zoo.training.dataset import EndlessSampler
from zoo.training.step import StepHandler, cosine_schedule, total_loss


class Noisy(nn.Module):
    """An objective that draws random numbers, like the points of GradICON's consistency."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x):
        return {"loss": (self.norm(self.layer(x)) - torch.randn(len(x), 1)).square().mean()}


class KilledError(Exception):
    """Ends a run in the middle of an epoch."""


def train(folder, epochs, *, epoch_length=3, kill_at=None, signature=None, seed=0):
    """Train, and return the losses of this run by step."""
    torch.manual_seed(99)
    network = Noisy()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    schedule = cosine_schedule(optimizer, 12)
    sampler = EndlessSampler(4)
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
            StepHandler(seed),
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
        ],
        decollate=False,
    )

    @trainer.on(Events.ITERATION_COMPLETED)
    def record(engine):
        losses[engine.state.iteration] = engine.state.output["loss"].item()
        if engine.state.iteration == kill_at:
            raise KilledError

    trainer.logger.disabled = True
    with contextlib.suppress(KilledError):
        trainer.run()
    return losses


def test_a_killed_run_resumes_with_the_losses_of_a_run_without_interruption(tmp_path):
    (tmp_path / "a").mkdir()
    whole = train(tmp_path / "a", 4)
    (tmp_path / "b").mkdir()
    before = train(tmp_path / "b", 4, kill_at=8)
    after = train(tmp_path / "b", 4)
    assert list(after) == list(range(7, 13))  # from the end of the last epoch
    assert before | after == whole
    assert len(set(whole.values())) == 12


def test_a_longer_run_resumes_where_a_shorter_one_ended(tmp_path):
    (tmp_path / "a").mkdir()
    whole = train(tmp_path / "a", 1, epoch_length=9)
    (tmp_path / "b").mkdir()
    first = train(tmp_path / "b", 2)
    rest = train(tmp_path / "b", 1, epoch_length=9)
    assert list(rest) == [7, 8, 9]
    assert first | rest == whole


def test_a_completed_run_does_no_more_steps(tmp_path):
    train(tmp_path, 2)
    assert train(tmp_path, 2) == {}


def test_another_seed_gives_other_random_numbers(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert train(tmp_path / "a", 1) != train(tmp_path / "b", 1, seed=1)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    train(tmp_path, 1, signature={"model": "unigradicon", "width": 4})
    with pytest.raises(
        UserError, match=r"with width 4, and this one has width 16.*another output folder"
    ):
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


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = {
        "a": {0: torch.arange(3), "b": [torch.tensor(1.5), 2.25, None, "x", True]},
        "empty": {},
        "view": torch.rand(4, 4)[:, 1],
    }
    write_state(tmp_path / "s.safetensors", state, {"k": [1, 2]})
    read, signature = read_state(tmp_path / "s.safetensors")
    assert signature == {"k": [1, 2]}
    assert torch.equal(read["a"][0], state["a"][0])
    assert read["a"]["b"][1:] == [2.25, None, "x", True]
    assert read["empty"] == {}
    assert torch.equal(read["view"], state["view"])


def test_a_weights_file_is_not_accepted_as_a_checkpoint(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="is not a checkpoint"):
        read_state(tmp_path / "w.safetensors")
