"""Does the verdict on a registration recognise failures without labels?

    PYTHONPATH=tools python -m benchmarks.verdict run --seeds 10
    PYTHONPATH=tools python -m benchmarks.verdict table

`run` registers good and spoiled synthetic pairs with MCBO (`affine=auto`), about 2 s each, and
appends the measurements of each to OUT/runs.jsonl; run it again to resume. `table` judges these
measurements with the present thresholds and writes OUT/cases.csv, OUT/roc.csv, OUT/roc.png and
OUT/table.md.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness.registrars import mcbo_registrar
from benchmarks.harness.runs import Run, append_run, read_runs
from benchmarks.harness.spoiled_pairs import Case, cases
from benchmarks.harness.tables import heading, row
from zoo.evaluation.common_structure import CommonStructure
from zoo.evaluation.metrics import landmark_errors
from zoo.evaluation.quality import QUALITIES, Verdict, judge
from zoo.registration.result import RegisteredPair

FALSE_ALARMS = 0.05
RECOVERED_MM = 2.5
"""Mean landmark error below which a pair is registered; one voxel of most phantoms."""
ENLARGED = {"units x10": 10.0, "units x0.1": 0.1, "scale x3": 3.0}
"""Factor by which the header of the moving image is too large, by the kind of pair."""


def main() -> None:
    """Register what is missing, or write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--seeds", type=int, default=10, help="number of pairs of each kind")
    parser.add_argument("--out", type=Path, default=Path("bench/verdict"), help="output folder")
    args = parser.parse_args()
    log = args.out / "runs.jsonl"
    if args.what == "run":
        done = {run["name"] for run in read_runs(log)}
        register_cases([case for case in cases(args.seeds) if case.name not in done], log)
    else:
        write_tables(read_runs(log), args.out)


def register_cases(pending: Sequence[Case], log: Path) -> None:
    """Register cases with MCBO and append their measurements to a log."""
    torch.set_num_threads(1)
    with mcbo_registrar(affine="auto") as registrar:
        for case in pending:
            append_run(log, measurements(case, registrar.register(case.make())))


def measurements(case: Case, registration: RegisteredPair) -> Run:
    """Return what the verdict on a registration is made from, and the landmark error if known."""
    pair, figures = registration.pair, registration.measured.figures
    started = time.perf_counter()
    structure = registration.structure
    seconds = time.perf_counter() - started
    error = None
    if pair.fixed_points is not None and pair.moving_points is not None:
        mapped = landmark_errors(registration.transform, pair.fixed_points, pair.moving_points)
        error = float(mapped.mean())
    return {
        "name": case.name,
        "kind": case.kind,
        "spoiled": case.spoiled,
        "error_mm": error,
        "figures": {k: v for k, v in figures.items() if not k.startswith("tre")},
        "structure": None if structure is None else vars(structure),
        "structure_seconds": seconds,
        "notes": registration.notes,
        "affine": registration.transform.affine.tolist(),
        "voxel_mm": float(np.prod(pair.fixed.grid.spacing) ** (1 / 3)),
    }


def structure_of(run: Run) -> CommonStructure | None:
    """Return the common structure that a run measured."""
    return None if run["structure"] is None else CommonStructure(**run["structure"])


def verdict_of(run: Run) -> Verdict:
    """Return the verdict on a run with the present thresholds, without labels and landmarks."""
    affine = torch.tensor(run["affine"], dtype=torch.float64)
    return judge(
        run["figures"], structure_of(run), run["notes"], affine=affine, voxel_mm=run["voxel_mm"]
    )


def scores(runs: Sequence[Run]) -> Mapping[str, np.ndarray]:
    """Return measurements that grow with the suspicion of a failure, each (n,), by name."""

    def figures(name: str) -> np.ndarray:
        return np.array([run["figures"].get(name) or 0.0 for run in runs])

    structures = [structure_of(run) for run in runs]
    ratios = np.array([0.0 if s is None else s.ratio for s in structures])
    verdicts = [verdict_of(run) for run in runs]
    severity = np.array([QUALITIES.index(v.quality) for v in verdicts], dtype=float)
    return {
        "verdict, then agreement relative to unrelated images": severity - np.tanh(ratios / 10),
        "agreement relative to unrelated images": -ratios,
        "similarity": -figures("similarity_after"),
        "normalised mutual information": -figures("nmi_after"),
        "gain of similarity": figures("similarity_before") - figures("similarity_after"),
        "folding": figures("folding_percent"),
        "spread of the volume change": figures("sd_log_jacobian"),
        "largest displacement": figures("deformation_mm_p99"),
    }


def roc(score: np.ndarray, spoiled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates of false alarms and of detections (k,) as the threshold falls."""
    thresholds = np.concatenate([[np.inf], np.unique(score)[::-1]])
    alarms = score[None] >= thresholds[:, None]
    return alarms[:, ~spoiled].mean(axis=1), alarms[:, spoiled].mean(axis=1)


def area(score: np.ndarray, spoiled: np.ndarray) -> float:
    """Return the area under the ROC: the probability that a spoiled pair scores higher."""
    difference = score[spoiled][:, None] - score[~spoiled][None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def detections(score: np.ndarray, spoiled: np.ndarray) -> float:
    """Return the largest rate of detections with at most `FALSE_ALARMS` false alarms."""
    false, true = roc(score, spoiled)
    return float(true[false <= FALSE_ALARMS].max())


def true_error(run: Run) -> float | None:
    """Return the mean landmark error in mm of the anatomy, whatever the units of the header."""
    return None if run["error_mm"] is None else run["error_mm"] / ENLARGED.get(run["kind"], 1.0)


def is_registered(run: Run) -> bool:
    """Return whether landmarks show that a pair was registered well."""
    error = true_error(run)
    return error is not None and error < RECOVERED_MM


def write_tables(runs: Sequence[Run], folder: Path) -> None:
    """Write one row per case, the ROC of each measurement as CSV and PNG, and the tables."""
    spoiled = np.array([run["spoiled"] for run in runs])
    curves = scores(runs)
    with (folder / "cases.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "spoiled", "error_mm", "ratio", "quality", "warnings"])
        for run in runs:
            verdict, structure = verdict_of(run), structure_of(run)
            ratio = "" if structure is None else f"{structure.ratio:.3f}"
            error = "" if (mm := true_error(run)) is None else f"{mm:.2f}"
            sentences = " ".join(verdict.warnings)
            row_ = [run["name"], run["spoiled"], error, ratio, verdict.quality, sentences]
            writer.writerow(row_)
    with (folder / "roc.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["measurement", "false alarms", "detections"])
        for name, score in curves.items():
            writer.writerows([name, f, t] for f, t in zip(*roc(score, spoiled), strict=True))
    draw_roc(curves, spoiled, folder / "roc.png")
    (folder / "table.md").write_text(markdown(runs))


def draw_roc(curves: Mapping[str, np.ndarray], spoiled: np.ndarray, path: Path) -> None:
    """Draw the ROC of each measurement."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for name, score in curves.items():
        axes.plot(*roc(score, spoiled), label=f"{name} ({area(score, spoiled):.3f})")
    axes.axvline(FALSE_ALARMS, color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="false alarms on good pairs", ylabel="spoiled pairs detected")
    axes.legend(title="measurement (area)", fontsize="small", loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def markdown(runs: Sequence[Run]) -> str:
    """Return the table of the measurements and the table of the verdicts on each kind of pair."""
    spoiled = np.array([run["spoiled"] for run in runs])
    alarm = np.array([verdict_of(run).quality != "ok" for run in runs])
    share = f"{FALSE_ALARMS:.0%}"
    wrong = np.array([run["spoiled"] and not is_registered(run) for run in runs])
    judged = ~spoiled | wrong
    lines = [
        f"{len(runs)} registrations, {spoiled.sum()} of them spoiled. The verdict is not ok for "
        f"{alarm[spoiled].mean():.1%} of the spoiled pairs and {alarm[~spoiled].mean():.1%} of the "
        f"good ones. {wrong.sum()} spoiled pairs were not registered well in spite of their fault; "
        f"the verdict is not ok for {alarm[wrong].mean():.1%} of them.",
        "",
        heading(
            ["measurement"],
            [
                *("area, all spoiled pairs", f"detected at {share} false alarms"),
                *("area, not registered", f"detected at {share} false alarms"),
            ],
        ),
    ]
    for name, score in scores(runs).items():
        cells = [name]
        for chosen in (np.full_like(judged, True), judged):
            values = score[chosen], spoiled[chosen]
            cells += [f"{area(*values):.3f}", f"{detections(*values):.1%}"]
        lines.append(row(cells))
    numbers = ["pairs", *QUALITIES, "registered", "ratio: smallest", "median", "largest"]
    lines += ["", heading(["pairs"], numbers)]
    for kind in dict.fromkeys(run["kind"] for run in runs):
        lines.append(_row_of_kind(kind, [run for run in runs if run["kind"] == kind]))
    return "\n".join(lines) + "\n"


def _row_of_kind(kind: str, runs: Sequence[Run]) -> str:
    verdicts = [verdict_of(run).quality for run in runs]
    ratios = sorted(0.0 if (s := structure_of(run)) is None else s.ratio for run in runs)
    errors = [error for run in runs if (error := true_error(run)) is not None]
    registered = f"{sum(e < RECOVERED_MM for e in errors)} of {len(errors)}" if errors else "-"
    counts = [str(verdicts.count(quality)) for quality in QUALITIES]
    extremes = [f"{x:.2f}" for x in (ratios[0], float(np.median(ratios)), ratios[-1])]
    return row([kind, str(len(runs)), *counts, registered, *extremes])


if __name__ == "__main__":
    main()
