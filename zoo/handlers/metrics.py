"""Figures of a run over a dataset: an ignite metric and the writer of the evaluation files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced

from zoo.errors import UserError
from zoo.evaluation.case_rows import case_row
from zoo.evaluation.documents import write_evaluation
from zoo.evaluation.figures import key_figure
from zoo.evaluation.summary import evaluation
from zoo.registration.result import RegisteredPair


class MeanFigure(Metric):
    """The mean of one figure over the pairs of a run.

    `figure` is a name such as dice_after. None selects the first figure of `PREFERRED` that the
    first pair has. Pairs without the figure do not count.
    """

    def __init__(self, figure: str | None = None) -> None:
        self.requested = figure
        super().__init__(output_transform=lambda output: output["pred"])

    @reinit__is_reduced
    def reset(self) -> None:
        """Discard all values."""
        self.figure = self.requested
        self.values: list[float] = []

    @reinit__is_reduced
    def update(self, output: RegisteredPair) -> None:
        """Add the value of one registration."""
        figures = output.measured.figures
        if self.figure is None:
            self.figure = key_figure(figures)
        if self.figure is not None and self.figure not in figures:
            raise UserError(
                f"the pair {output.pair.name} has no figure {self.figure!r}; its figures are "
                f"{', '.join(figures)}"
            )
        value = figures.get(self.figure or "")
        if value is not None:
            self.values.append(value)

    def compute(self) -> float:
        """Return the mean; NaN if no pair has the figure."""
        return sum(self.values) / len(self.values) if self.values else float("nan")


class EvaluationWriter:
    """An ignite handler that writes evaluation.json and evaluation.csv at the end of a run.

    Both contain the figures of every pair, as `regzoo evaluate` computes them, and a summary.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Collect the figures of every iteration of `engine` and write them when it completes."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def start(self, _engine: Engine) -> None:
        """Discard the figures of an earlier run."""
        self.rows = []

    def collect(self, engine: Engine) -> None:
        """Add the figures of the engine's current registration."""
        registration: RegisteredPair = engine.state.output["pred"]  # type: ignore[index]
        seconds = sum(registration.seconds.values())
        self.rows.append(
            case_row(
                registration.pair, registration.transform, registration.measured, seconds=seconds
            )
        )

    def write(self, _engine: Engine) -> None:
        """Write both files."""
        write_evaluation(self.output_dir / "evaluation.json", evaluation(self.rows))
