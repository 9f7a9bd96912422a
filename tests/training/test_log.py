"""The tables of a training, its picture and its best weights."""

import sys
import types

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from zoo import UserError
from zoo.hub.weights import load_weights
from zoo.training.checkpoint import BestValidation, read_best, write_weights
from zoo.training.log import TrainingLog
from zoo.training.tables import read_rows


class MeasuredPair:
    """The parts of a registration that the log reads."""

    def __init__(self, **figures):
        self.measured = type("Measured", (), {"figures": figures})()


def train(folder, figures, *, start=0, figure=None):
    """Train for some epochs of two steps; the weight is the step, and `figures` are validated."""
    network = nn.Linear(1, 1, bias=False)
    evaluator = Engine(lambda _engine, registration: {"pred": registration})

    def step(engine, _batch):
        nn.init.constant_(network.weight, engine.state.iteration)
        loss = torch.tensor(1 / engine.state.iteration)
        return {"pred": {"loss": loss, "similarity": 2 * loss}}

    trainer = Engine(step)

    @trainer.on(Events.STARTED)
    def resume(engine):
        engine.state.iteration, engine.state.epoch = start, start // 2

    log = TrainingLog(folder, network, evaluator, figure=figure, bar=False)
    log.attach(trainer)
    validations = iter(figures)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run([next(validations)]))
    trainer.run(range(2), max_epochs=start // 2 + len(figures), epoch_length=2)
    return log


def best_weight(folder):
    return load_weights(folder / "best.safetensors")["weight"].item()


def test_losses_have_a_row_per_step_and_figures_a_row_per_validation(tmp_path):
    train(tmp_path, [MeasuredPair(dice_after=d, folding_percent=None) for d in (0.5, 0.7, 0.6)])
    losses = read_rows(tmp_path / "losses.csv")
    assert [row["step"] for row in losses] == [1, 2, 3, 4, 5, 6]
    assert [row["similarity"] for row in losses] == pytest.approx([2 / k for k in range(1, 7)])
    figures = read_rows(tmp_path / "figures.csv")
    assert [(row["step"], row["dice_after"]) for row in figures] == [(2, 0.5), (4, 0.7), (6, 0.6)]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert best_weight(tmp_path) == 4


def test_the_curve_is_drawn_at_times_and_with_all_rows_at_the_end(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "zoo.training.log.draw_curve", lambda _, *tables: drawn.append([len(t) for t in tables])
    )
    for seconds, count in ((1e9, 2), (-1.0, 4)):
        monkeypatch.setattr("zoo.training.log.CURVE_SECONDS", seconds)
        train(tmp_path, [MeasuredPair(dice_after=d, folding_percent=None) for d in (0.5, 0.7)])
        assert drawn[0] == [2, 0]
        assert drawn[-1] == [4, 2]
        assert len(drawn) == count
        drawn.clear()


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"tre_mm_after": [3.0, 2.0, 2.5]}, 4),
        ({"dice_after": [0.5, 0.5, 0.5]}, 2),
        ({"similarity_after": [0.1, 0.2, 0.3]}, 6),
        ({"dice_after": [0.3, 0.2, 0.1], "tre_mm_after": [3.0, 2.0, 1.0]}, 2),
    ],
)
def test_the_best_weights_are_those_with_the_best_preferred_figure(tmp_path, values, best):
    rows = [{k: v[n] for k, v in values.items()} for n in range(3)]
    train(tmp_path, [MeasuredPair(**row) for row in rows])
    assert best_weight(tmp_path) == best
    figure = next(iter(values))
    row = {"step": best, **rows[best // 2 - 1]}
    assert read_best(tmp_path) == BestValidation(figure, row)
    assert read_best(tmp_path).step == best


def test_before_the_first_validation_there_is_no_best(tmp_path):
    assert read_best(tmp_path) is None


def test_best_weights_without_a_record_of_their_validation_are_refused(tmp_path):
    write_weights(tmp_path / "best.safetensors", nn.Linear(1, 1), {})
    with pytest.raises(UserError, match="does not record the validation"):
        read_best(tmp_path)


def test_another_figure_can_be_selected(tmp_path):
    figures = [MeasuredPair(dice_after=0.5, folding_percent=f) for f in (2.0, 1.0, 3.0)]
    train(tmp_path, figures, figure="folding_percent")
    assert best_weight(tmp_path) == 4


def test_tables_of_a_resumed_run_end_at_its_checkpoint(tmp_path):
    train(tmp_path, [MeasuredPair(dice_after=d) for d in (0.5, 0.9, 0.6)])
    log = train(tmp_path, [MeasuredPair(dice_after=0.7)], start=2)
    assert [row["step"] for row in log.losses] == [1, 2, 3, 4]
    assert [row["dice_after"] for row in log.figures] == [0.5, 0.7]
    assert best_weight(tmp_path) == 4


def test_tensorboard_gets_the_same_numbers_if_it_is_installed(tmp_path, monkeypatch):
    calls = []

    class Writer:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, *scalar):
            calls.append(scalar)

        def close(self):
            calls.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(tmp_path, [MeasuredPair(dice_after=0.5, folding_percent=None)])
    assert calls[0] == (str(tmp_path / "tensorboard"), 1)
    assert ("losses/loss", 0.5, 2) in calls
    assert ("figures/dice_after", 0.5, 2) in calls
    assert calls[-1] == "closed"
    assert len(calls) == 1 + 4 + 1 + 1


def test_a_figure_that_cannot_be_compared_is_refused(tmp_path):
    with pytest.raises(UserError, match="dice_after"):
        train(tmp_path, [MeasuredPair(dice_after=0.5)], figure="deformation_mm_mean")


def test_a_figure_that_the_pairs_lack_stops_the_first_validation(tmp_path):
    with pytest.raises(UserError, match=r"have no tre_mm_after; use one of dice_after"):
        train(tmp_path, [MeasuredPair(dice_after=0.5)], figure="tre_mm_after")
