"""The log of a training: a CSV table and its curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from compact.training import Training
from compact.validation import validate
from zoo.io.atomic import atomic_path


def append_row(training: Training, losses: list[dict[str, float]], log: Path) -> None:
    """Validate, and append a row with the mean losses of the steps since the last row.

    Stages may have different terms of the loss; columns are added when a term is new.
    """
    names = sorted({name for terms in losses for name in terms})
    values = {n: [terms[n] for terms in losses if n in terms] for n in names}
    row: dict[str, object] = {
        "drawn": training.drawn,
        "stage": training.stage,
        "step": training.step,
        "seconds": round(training.seconds),
        **{name: round(sum(values[name]) / len(values[name]), 6) for name in names},
        **{f"validation_{k}": round(value, 6) for k, value in validate(training).items()},
    }
    rows: list[Mapping[str, object]] = [*_read_rows(log), row]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(log) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(row, flush=True)


def draw_curve(log: Path, png: Path) -> None:
    """Draw loss and validation error of a log against the number of subjects."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = _read_rows(log)
    subjects = [int(row["drawn"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(subjects, [float(row["loss"]) for row in rows], lw=0.8)
    left.set(xlabel="subjects", ylabel="mean loss since the last row of the log")
    right.plot(subjects, [float(row["validation_error"]) for row in rows], marker=".")
    right.set(xlabel="subjects", ylabel="remaining share of the error")
    figure.tight_layout()
    figure.savefig(png, dpi=90)
    plt.close(figure)


def _read_rows(log: Path) -> list[dict[str, str]]:
    if not log.exists():
        return []
    with log.open(newline="") as file:
        return list(csv.DictReader(file))
