"""What a training writes down: the losses, the figures of each validation, a picture of both."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from zoo.errors import UserError
from zoo.evaluation.figures import COMPARED, key_figure
from zoo.io.atomic import atomic_path, write_text
from zoo.registration.result import RegisteredPair
from zoo.training.checkpoint import write_weights
from zoo.training.distributed import mean_over_processes, rank

Row = dict[str, float | None]

LOSSES, FIGURES, CURVE, BEST = "losses.csv", "figures.csv", "curve.png", "best.safetensors"


class TrainingLog:
    """An ignite handler that keeps the tables of a training in `folder` and the best weights.

    losses.csv has a row a step (means over the processes), figures.csv a row a validation (means
    over the pairs), curve.png shows both; tensorboard/ does so too where TensorBoard is installed.
    The best weights by `figure` (None: the first of `PREFERRED` that the data allow) are
    best.safetensors. Tables of a run that is continued are cut where its checkpoint is.
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
            raise UserError(f"--set figure={figure} is not known; use one of {', '.join(COMPARED)}")
        self.folder = Path(folder)
        self.network = network
        self.evaluator = evaluator
        self.figure = figure
        self.losses: list[Row] = []
        self.figures: list[Row] = []
        self.found: list[RegisteredPair] = []
        self.bar = tqdm(desc="training", disable=None if bar and not rank() else True, leave=False)

    def attach(self, engine: Engine) -> None:
        """Follow a trainer, and the evaluator that validates it."""
        self.trainer = engine
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.finish)
        self.evaluator.add_event_handler(Events.STARTED, lambda _engine: self.found.clear())
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        self.evaluator.add_event_handler(Events.COMPLETED, self.validated)

    def start(self, engine: Engine) -> None:
        """Read the tables of a run that is continued, up to where it continues."""
        self.folder.mkdir(parents=True, exist_ok=True)
        done = engine.state.iteration
        self.losses = [row for row in read_rows(self.folder / LOSSES) if row["step"] <= done]  # type: ignore[operator]
        self.figures = [row for row in read_rows(self.folder / FIGURES) if row["step"] <= done]  # type: ignore[operator]
        if not done:
            self.figures = []
        self.bar.total = (engine.state.max_epochs or 0) * (engine.state.epoch_length or 0)
        self.bar.update(done - self.bar.n)
        self.board = None if rank() else open_board(self.folder / "tensorboard", done + 1)
        self.clock = time.perf_counter()

    def step(self, engine: Engine) -> None:
        """Take down the losses of a step."""
        losses = engine.state.output["pred"]  # type: ignore[index]
        values = torch.stack([value.detach().float() for value in losses.values()])
        means = mean_over_processes(values).tolist()
        now = time.perf_counter()
        row: Row = {"step": engine.state.iteration, **dict(zip(losses, means, strict=True))}
        self.losses.append(row | {"seconds": round(now - self.clock, 3)})
        show(self.board, "losses", row)
        self.clock = now
        self.bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)
        self.bar.update()

    def collect(self, engine: Engine) -> None:
        """Keep the registration of a validated pair."""
        self.found.append(engine.state.output["pred"])  # type: ignore[index]

    def validated(self, _engine: Engine) -> None:
        """Take down the means of a validation, and keep the weights if they are the best so far."""
        figures = [registration.measured.figures for registration in self.found]
        means = means_of(figures)
        self.found = []
        if self.figure is not None and means.get(self.figure) is None:
            raise UserError(
                f"the validation pairs have no {self.figure}; there are "
                f"{', '.join(n for n in COMPARED if n in means)}"
            )
        before = best_row(self.figures, self.key(means))
        self.figures.append({"step": self.trainer.state.iteration, **means})
        show(self.board, "figures", self.figures[-1])
        if best_row(self.figures, self.key(means)) is not before and not rank():
            write_weights(self.folder / BEST, self.network, {})
        self.write(self.trainer)
        self.clock = time.perf_counter()

    def key(self, means: Mapping[str, float | None]) -> str | None:
        """Return the figure that says which weights are best."""
        return self.figure or key_figure(means)

    def write(self, _engine: Engine) -> None:
        """Write the tables and the picture, from the first process only."""
        if rank():
            return
        write_rows(self.folder / LOSSES, self.losses)
        write_rows(self.folder / FIGURES, self.figures)
        draw_curve(self.folder / CURVE, self.losses, self.figures)

    def finish(self, engine: Engine) -> None:
        """Take the bar away."""
        self.write(engine)
        self.bar.close()
        if self.board is not None:
            self.board.close()


def open_board(folder: Path, step: int) -> Any:
    """Return a writer for TensorBoard that goes on at `step`; None where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)


def show(board: Any, group: str, row: Row) -> None:
    """Show a row of numbers in TensorBoard, if there is one."""
    if board is None:
        return
    for name, value in row.items():
        if name != "step" and value is not None:
            board.add_scalar(f"{group}/{name}", value, int(row["step"] or 0))


def means_of(rows: Sequence[Mapping[str, float | None]]) -> Row:
    """Return the mean of each figure over the pairs that have it."""
    out: Row = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [value for row in rows if (value := row.get(name)) is not None]
        if values:
            out[name] = float(np.mean(values))
    return out


def best_row(rows: Sequence[Row], figure: str | None) -> Row | None:
    """Return the first row whose figure no other betters; without a figure the last row."""
    if figure is None:
        return rows[-1] if rows else None
    sign = COMPARED[figure].better
    known = [row for row in rows if row.get(figure) is not None]
    return max(known, key=lambda row: sign * float(row[figure] or 0.0), default=None)


def read_rows(path: Path) -> list[Row]:
    """Read a table that `write_rows` wrote; none if it is not there."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            {k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(stream)
        ]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write a table as CSV, atomically."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: _short(v) for k, v in row.items()} for row in rows])
    write_text(path, out.getvalue())


def _short(value: float | None) -> Any:
    return value if value is None or not float(value).is_integer() else int(value)


def draw_curve(path: Path, losses: Sequence[Row], figures: Sequence[Row]) -> None:
    """Write a PNG: each loss against the steps, and the figures of the validations."""
    after = [n for n in COMPARED if any(row.get(n) is not None for row in figures)]
    names = [n for n in dict.fromkeys(n for row in losses for n in row) if n not in _NO_LOSS]
    count = len(names) + len(after)
    if not count:
        return
    columns = min(3, count)
    drawn = Figure(figsize=(4 * columns, 2.7 * math.ceil(count / columns)), layout="constrained")
    canvas = FigureCanvasAgg(drawn)
    for k, name in enumerate([*names, *after], start=1):
        axes = drawn.add_subplot(math.ceil(count / columns), columns, k)
        rows = losses if k <= len(names) else figures
        known = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
        _line(axes, name, np.array(known, dtype=float), smooth=k <= len(names))
    with atomic_path(path) as temporary:
        canvas.print_png(temporary)


_NO_LOSS = ("step", "seconds")


def _line(axes: Axes, name: str, points: np.ndarray, *, smooth: bool) -> None:
    """Draw (step, value) points; of losses their running mean over a twentieth of the run."""
    steps, values = points.T
    if smooth:
        axes.plot(steps, values, color="#c3d0de", lw=0.7)
        width = max(1, len(values) // 20)
        values = np.convolve(values, np.ones(width) / width, mode="valid")
        steps = steps[width - 1 :]
    axes.plot(steps, values, color="#35618f", lw=1.5, marker=None if smooth else "o", ms=4)
    axes.set_title(name.replace("_", " "), fontsize=9, loc="left")
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
