"""The log of a training as a table, and as a curve."""

from __future__ import annotations

import csv
from pathlib import Path

from compact.training import Training
from zoo.io.atomic import atomic_path


def record(training: Training, recent: list[dict[str, float]], log: Path) -> None:
    """Add a line to the log: the mean of what the last steps cost, and the validation."""
    names = sorted({name for costs in recent for name in costs})
    values = {n: [costs[n] for costs in recent if n in costs] for n in names}
    means = {n: sum(values[n]) / len(values[n]) for n in names}
    row = {
        "drawn": training.drawn,
        "stage": training.stage,
        "step": training.step,
        "seconds": round(training.seconds),
        **{name: round(value, 6) for name, value in means.items()},
        **{f"validation_{k}": round(value, 6) for k, value in training.validate().items()},
    }
    rows = [*_rows(log), row]
    columns = list(dict.fromkeys(name for row in rows for name in row))  # a stage may add some
    with atomic_path(log) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    print(row, flush=True)


def draw_curve(log: Path, png: Path) -> None:
    """Draw the loss and the validation error of a log."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = _rows(log)
    subjects = [int(row["drawn"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(subjects, [float(row["loss"]) for row in rows], lw=0.8)
    left.set(xlabel="subjects", ylabel="loss, mean between two lines of the log")
    right.plot(subjects, [float(row["validation_error"]) for row in rows], marker=".")
    right.set(xlabel="subjects", ylabel="error left, share of the start")
    figure.tight_layout()
    figure.savefig(png, dpi=90)
    plt.close(figure)


def _rows(log: Path) -> list[dict[str, str]]:
    if not log.exists():
        return []
    with log.open(newline="") as file:
        return list(csv.DictReader(file))
