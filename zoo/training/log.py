"""The log of a training: its losses, the figures of each validation, and the best weights."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn
from tqdm import tqdm

from zoo.errors import UserError
from zoo.evaluation.figures import COMPARED, key_figure
from zoo.registration.result import RegisteredPair
from zoo.training.checkpoint import BestValidation, write_best
from zoo.training.distributed import mean_over_processes, process_rank
from zoo.training.tables import (
    Row,
    best_row,
    draw_curve,
    means_of,
    read_rows,
    write_rows,
)

LOSSES, FIGURES, CURVE = "losses.csv", "figures.csv", "curve.png"
CURVE_SECONDS = 5.0
"""The least time between two drawings of the curve."""


class TrainingLog:
    """An ignite handler that writes the tables and the best weights of a training to `folder`.

    losses.csv has one row per step (means over the processes), figures.csv one row per validation
    (means over the pairs), and curve.png shows both. The same numbers go to tensorboard/ if
    TensorBoard is installed. best.safetensors holds the weights with the best `figure` (None: the
    first of `PREFERRED` that the data allow) and records which validation that was; nothing else
    decides which weights are best. When a run is resumed, rows after its checkpoint are removed.
    """

    def __init__(
        self,
        folder: str | Path,
        network: nn.Module,
        evaluator: Engine,
        *,
        figure: str | None = None,
        bar: bool = True,
    ) -> None:
        if figure is not None and figure not in COMPARED:
            raise UserError(
                f"--set figure={figure} is unknown; use one of {', '.join(COMPARED)}, or leave it "
                "out to use the best figure that the data allow"
            )
        self.folder = Path(folder)
        self.network = network
        self.evaluator = evaluator
        self.figure = figure
        self.losses: list[Row] = []
        self.figures: list[Row] = []
        self.pair_figures: list[dict[str, float | None]] = []
        self.written: list[Row] = []
        self.drawn: list[Row] = []
        self.drawn_at = -math.inf
        shown = bar and not process_rank()
        self.bar = tqdm(desc="training", disable=None if shown else True, leave=False)

    def attach(self, engine: Engine) -> None:
        """Log the steps of a trainer, and the runs of the evaluator that validates it."""
        self.trainer = engine
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.log_step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        self.evaluator.add_event_handler(Events.STARTED, lambda _engine: self.pair_figures.clear())
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        self.evaluator.add_event_handler(Events.COMPLETED, self.log_validation)

    def start(self, engine: Engine) -> None:
        """Read the tables of a run that is resumed, up to the step where it resumes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        step = engine.state.iteration
        self.losses = _until(step, read_rows(self.folder / LOSSES))
        self.figures = _until(step, read_rows(self.folder / FIGURES)) if step else []
        self.bar.total = (engine.state.max_epochs or 0) * (engine.state.epoch_length or 0)
        self.bar.update(step - self.bar.n)
        self.tensorboard = (
            None if process_rank() else open_tensorboard(self.folder / "tensorboard", step + 1)
        )
        self.clock = time.perf_counter()

    def log_step(self, engine: Engine) -> None:
        """Log the losses of a step, and its duration in seconds."""
        losses = engine.state.output["pred"]  # type: ignore[index]
        values = torch.stack([value.detach().float() for value in losses.values()])
        means = mean_over_processes(values).tolist()
        now = time.perf_counter()
        row: Row = {"step": engine.state.iteration, **dict(zip(losses, means, strict=True))}
        self.losses.append(row | {"seconds": round(now - self.clock, 3)})
        add_scalars(self.tensorboard, "losses", row)
        self.clock = now
        self.bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)
        self.bar.update()

    def collect(self, engine: Engine) -> None:
        """Keep the figures of a validated pair."""
        registration: RegisteredPair = engine.state.output["pred"]  # type: ignore[index]
        self.pair_figures.append(registration.measured.figures)

    def log_validation(self, _engine: Engine) -> None:
        """Log the mean figures of a validation, and keep the weights if they are the best yet."""
        means = means_of(self.pair_figures)
        if self.figure is not None and means.get(self.figure) is None:
            raise UserError(
                f"--set figure={self.figure}: the validation pairs have no {self.figure}; use one "
                f"of {', '.join(name for name in COMPARED if name in means)}"
            )
        row: Row = {"step": self.trainer.state.iteration, **means}
        figure = self.figure or key_figure(row)
        self.figures.append(row)
        add_scalars(self.tensorboard, "figures", row)
        if best_row(self.figures, figure) is row and not process_rank():
            write_best(self.folder, self.network, BestValidation(figure, row))
        self.write(self.trainer)
        self.clock = time.perf_counter()

    def write(self, _engine: Engine, *, last: bool = False) -> None:
        """Write the tables and the picture if there are new rows; only the first process writes.

        The picture takes half a second. Hence it is not drawn again within `CURVE_SECONDS`, unless
        this is the `last` time.
        """
        if process_rank():
            return
        rows = [*self.losses, *self.figures]
        if rows != self.written:
            self.written = rows
            write_rows(self.folder / LOSSES, self.losses)
            write_rows(self.folder / FIGURES, self.figures)
        due = last or time.perf_counter() - self.drawn_at > CURVE_SECONDS
        if due and rows != self.drawn:
            draw_curve(self.folder / CURVE, self.losses, self.figures)
            self.drawn, self.drawn_at = rows, time.perf_counter()

    def finish(self, engine: Engine) -> None:
        """Write everything a last time and close the progress bar."""
        self.write(engine, last=True)
        self.bar.close()
        if self.tensorboard is not None:
            self.tensorboard.close()


def _until(step: int, rows: list[Row]) -> list[Row]:
    """Return the rows of the steps up to `step`."""
    return [row for row in rows if int(row["step"] or 0) <= step]


def open_tensorboard(folder: Path, step: int) -> Any:
    """Return a TensorBoard writer that continues at `step`; None if TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)


def add_scalars(tensorboard: Any, group: str, row: Row) -> None:
    """Add a row of numbers to TensorBoard; do nothing without a writer."""
    if tensorboard is None:
        return
    for name, value in row.items():
        if name != "step" and value is not None:
            tensorboard.add_scalar(f"{group}/{name}", value, int(row["step"] or 0))
