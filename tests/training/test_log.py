"""The tables of a training, its picture and its best weights."""

import sys
import types

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from zoo import UserError
from zoo.hub.weights import load_weights
from zoo.training.log import TrainingLog, best_row, means_of, read_rows


class Found:
    """As much of a registration as the log looks at."""

    def __init__(self, **figures):
        self.measured = type("Measured", (), {"figures": figures})()


def train(folder, figures, *, start=0, figure=None):
    """Train a number for some epochs of two steps; `figures` are those of each validation."""
    network = nn.Linear(1, 1, bias=False)
    evaluator = Engine(lambda _engine, found: {"pred": found})

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
    found = iter(figures)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: evaluator.run([next(found)]))
    trainer.run(range(2), max_epochs=start // 2 + len(figures), epoch_length=2)
    return log


def best_weight(folder):
    return load_weights(folder / "best.safetensors")["weight"].item()


def test_losses_have_a_row_a_step_and_figures_one_a_validation(tmp_path):
    train(tmp_path, [Found(dice_after=d, folding_percent=None) for d in (0.5, 0.7, 0.6)])
    losses = read_rows(tmp_path / "losses.csv")
    assert [row["step"] for row in losses] == [1, 2, 3, 4, 5, 6]
    assert [row["similarity"] for row in losses] == pytest.approx([2 / k for k in range(1, 7)])
    figures = read_rows(tmp_path / "figures.csv")
    assert [(row["step"], row["dice_after"]) for row in figures] == [(2, 0.5), (4, 0.7), (6, 0.6)]
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert best_weight(tmp_path) == 4


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ({"tre_mm_after": [3.0, 2.0, 2.5]}, 4),
        ({"dice_after": [0.5, 0.5, 0.5]}, 2),
        ({"similarity_after": [0.1, 0.2, 0.3]}, 6),
        ({"dice_after": [0.3, 0.2, 0.1], "tre_mm_after": [3.0, 2.0, 1.0]}, 2),
    ],
)
def test_the_best_weights_are_those_of_the_figure_that_tells_most(tmp_path, values, best):
    rows = [{k: v[n] for k, v in values.items()} for n in range(3)]
    train(tmp_path, [Found(**row) for row in rows])
    assert best_weight(tmp_path) == best


def test_another_figure_may_decide(tmp_path):
    figures = [Found(dice_after=0.5, folding_percent=f) for f in (2.0, 1.0, 3.0)]
    train(tmp_path, figures, figure="folding_percent")
    assert best_weight(tmp_path) == 4


def test_tables_of_a_resumed_run_are_cut_where_its_checkpoint_is(tmp_path):
    train(tmp_path, [Found(dice_after=d) for d in (0.5, 0.9, 0.6)])
    log = train(tmp_path, [Found(dice_after=0.7)], start=2)
    assert [row["step"] for row in log.losses] == [1, 2, 3, 4]
    assert [row["dice_after"] for row in log.figures] == [0.5, 0.7]
    assert best_weight(tmp_path) == 4


def test_means_are_over_the_pairs_that_have_the_figure():
    assert means_of([{"a": 1.0, "b": None}, {"a": 3.0, "b": 5.0}, {"c": None}]) == {"a": 2, "b": 5}


def test_without_a_figure_the_last_weights_are_kept():
    rows = [{"step": 1.0}, {"step": 2.0}]
    assert best_row(rows, None) is rows[1]


def test_tensorboard_is_shown_the_same_where_it_is_installed(tmp_path, monkeypatch):
    shown = []

    class Writer:
        def __init__(self, folder, purge_step):
            shown.append((folder, purge_step))

        def add_scalar(self, *scalar):
            shown.append(scalar)

        def close(self):
            shown.append("closed")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(tmp_path, [Found(dice_after=0.5, folding_percent=None)])
    assert shown[0] == (str(tmp_path / "tensorboard"), 1)
    assert ("losses/loss", 0.5, 2) in shown
    assert ("figures/dice_after", 0.5, 2) in shown
    assert shown[-1] == "closed"
    assert len(shown) == 1 + 4 + 1 + 1


def test_a_figure_without_a_better_way_is_refused(tmp_path):
    with pytest.raises(UserError, match="dice_after"):
        train(tmp_path, [Found(dice_after=0.5)], figure="deformation_mm_mean")


def test_a_figure_that_the_data_lack_stops_at_the_first_validation(tmp_path):
    with pytest.raises(UserError, match=r"no tre_mm_after; there are dice_after"):
        train(tmp_path, [Found(dice_after=0.5)], figure="tre_mm_after")
