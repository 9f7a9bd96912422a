"""Draw the figures of the pages about experiments from the tables and logs of the repository.

    python tools/docs_figures.py              all of them, into docs/images
    python tools/docs_figures.py memory       one of them

Nothing is measured here. The figures are drawn from the same tables that the pages show, and from
the files that the bundles ship. An SVG holds a digest of what it was drawn from, and a test fails
if a table changes and the figure does not.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "experiments"
IMAGES = ROOT / "docs" / "images"
Row = dict[str, str]
Data = dict[str, Any]

MARKERS = {"mcbo": "o", "convexAdam": "s", "SyN": "^", "elastix": "D", "greedy": "v", "best": "P"}


def table(page: Path, *columns: str) -> list[Row]:
    """Return the rows of the first table of a page whose header has these columns.

    An empty cell of the first column repeats the cell above. Backquotes are removed.
    """
    header: list[str] = []
    rows: list[Row] = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            if rows:
                return rows
            header = []
        elif not header:
            header = cells
        elif set(columns) <= set(header) and not re.fullmatch(r"[-:| ]+", line):
            cells[0] = cells[0] or rows[-1][header[0]]
            rows.append(dict(zip(header, cells, strict=True)))
    raise ValueError(f"{page} has no table with the columns {', '.join(columns)}")


def number(text: str) -> float | None:
    """Return the first number of a cell, or None."""
    found = re.search(r"\d*\.?\d+", text)
    return float(found[0]) if found else None


def error(text: str) -> float | None:
    """Return the error that a cell states: mm, or 1 - Dice for a number without a unit."""
    value = number(text)
    return value if value is None or "mm" in text else 1 - value


# ---- memory by size ----


def memory_data() -> Data:
    """Return the measured points and the line of each configuration, from the bundles."""
    models: Data = {}
    for path in sorted([*ROOT.glob("bundles/*/memory.json"), ROOT / "zoo/planning/memory.json"]):
        models |= json.loads(path.read_text(encoding="utf-8"))["models"]
    keys = ("base_mib", "mib_per_megavoxel", "points")
    return {name: {key: models[name][key] for key in keys} for name in sorted(models)}


def draw_memory(data: Data, axes: Sequence[Any]) -> None:
    """Draw peak memory against voxels: solvers and images, and networks."""
    for axis, networks in zip(axes, (False, True), strict=True):
        for name, model in data.items():
            if name.startswith(("gradicon", "unireg")) != networks or "=paper" in name:
                continue
            voxels = [int(n) / 1e6 for n in model["points"]]
            label = name.replace("precision=", "").replace("mode=", "").replace("width=", "w")
            (points,) = axis.plot(voxels, list(model["points"].values()), ".", label=label)
            ends = [0, max(voxels)]
            line = [model["base_mib"] + model["mib_per_megavoxel"] * x for x in ends]
            axis.plot(ends, line, "-", lw=0.8, color=points.get_color())
        axis.set(xlabel="million voxels", ylabel="peak memory, MiB")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


# ---- effort: error against time ----


COLOURS = 10
"""Colours of matplotlib's cycle; further lines are dashed."""

REFINED = ("fast", "search", "refined", "thorough")


def effort_data() -> Data:
    """Return the candidates of each pair: seconds, error relative to the search, chosen or not."""
    found: Data = {}
    for row in table(PAGES / "effort.md", "pair", "candidate", "CPU s"):
        wrong, seconds = error(row["Dice or mm"]), number(row["CPU s"])
        name, _, chosen = row["candidate"].partition(" ")
        if wrong is not None and seconds is not None:
            found.setdefault(row["pair"], {})[name] = [seconds, wrong, bool(chosen)]
    return found


def draw_effort(data: Data, axes: Sequence[Any]) -> None:
    """Draw the error of `fast`, the search and its refinements against time, relative to `fast`."""
    (axis,) = axes
    for count, (pair, candidates) in enumerate(data.items()):
        dashes = ".-" if count < COLOURS else ".--"
        kept = [candidates[name] for name in REFINED if name in candidates]
        first = kept[0][1]
        (line,) = axis.plot([c[0] for c in kept], [c[1] / first for c in kept], dashes, label=pair)
        for seconds, wrong, chosen in kept:
            if chosen:
                style = {"mfc": "none", "ms": 11, "color": line.get_color()}
                axis.plot(seconds, wrong / first, "o", **style)
    axis.set(xlabel="processor time, s", ylabel="error relative to fast")
    axis.legend(fontsize=7, handlelength=3.5)


# ---- training curves ----


def training_data() -> Data:
    """Return subjects drawn, validation error and stage of the compact weights, from their logs."""
    found: Data = {}
    for path in sorted(ROOT.glob("bundles/*/models/compact_log.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = [(int(r["drawn"]), float(r["validation_error"]), int(r["stage"])) for r in rows]
        found[path.parts[-3]] = columns
    return found


def draw_training(data: Data, axes: Sequence[Any]) -> None:
    """Draw the remaining error of the validation pairs, with a gap where a stage begins."""
    (axis,) = axes
    for colour, (model, points) in enumerate(data.items()):
        for stage in sorted({stage for _, _, stage in points}):
            part = [(drawn, wrong) for drawn, wrong, s in points if s == stage]
            style = {"lw": 0.9, "ms": 3, "color": f"C{colour}"}
            axis.plot(*zip(*part, strict=True), ".-", **style, label=None if stage else model)
    axis.set(xlabel="subjects drawn", ylabel="remaining error, validation pairs")
    axis.set_ylim(bottom=0)
    axis.legend()


# ---- MCBO beside other programs ----


def peers_data() -> Data:
    """Return real pairs (error and seconds by method) and phantoms (seconds and memory by size)."""
    real: Data = {}
    for row in table(PAGES / "mcbo.md", "pair", "method", "wall s"):
        loaded = row["wall s"].startswith("(")
        values = [number(row["wall s"]), error(row["figure"]), loaded]
        real.setdefault(row["method"], {})[row["pair"]] = values
    phantoms: Data = {}
    for row in table(PAGES / "mcbo.md", "phantom", "method", "wall s"):
        if row["method"] != "start":
            edge = number(row["phantom"])
            values = [edge, number(row["wall s"]), number(row["peak MiB"])]
            phantoms.setdefault(row["method"], []).append(values)
    return {"real": real, "phantoms": phantoms}


def draw_peers(data: Data, axes: Sequence[Any]) -> None:
    """Draw error against time on the real pairs, and time and memory by size on phantoms."""
    accuracy, time, memory = axes
    reference = data["real"]["convexAdam"]
    for colour, (method, pairs) in enumerate(data["real"].items()):
        style = {"marker": MARKERS[method], "color": f"C{colour}", "ls": ""}
        for measured in (True, False):
            chosen = [(pair, v) for pair, v in pairs.items() if v[2] != measured]
            seconds = [v[0] for _, v in chosen]
            relative = [v[1] / reference[pair][1] for pair, v in chosen]
            fill = {"label": method} if measured else {"mfc": "none"}
            accuracy.plot(seconds, relative, **style, **fill)
        sizes = data["phantoms"][method]
        edges = [v[0] for v in sizes]
        time.plot(edges, [v[1] for v in sizes], **style | {"ls": "-"}, label=method)
        memory.plot(edges, [v[2] / 1024 for v in sizes], **style | {"ls": "-"}, label=method)
    accuracy.set(
        xlabel="s (hollow: processor time)",
        ylabel="error relative to convexAdam",
        xscale="log",
        yscale="log",
    )
    accuracy.set_yticks([0.5, 1, 2, 3], ["0.5", "1", "2", "3"])
    accuracy.set_yticks([], minor=True)
    accuracy.legend(fontsize=8)
    time.set(xlabel="voxels per edge of the phantom", ylabel="wall time, s", yscale="log")
    memory.set(xlabel="voxels per edge of the phantom", ylabel="peak memory, GiB")
    for axis in (time, memory):
        axis.set_xticks([128, 192, 256])
    memory.set_ylim(bottom=0)


# ---- the refinement beside other programs ----


def refinement_data() -> Data:
    """Return the error of each method on each pair, from the page about other packages."""
    methods = ("normal", "best", "mcbo", "convexAdam", "greedy")
    rows = table(PAGES / "peers.md", "pair", *methods)
    return {row["pair"]: {method: error(row[method]) for method in methods} for row in rows}


def draw_refinement(data: Data, axes: Sequence[Any]) -> None:
    """Draw the error of each method relative to convexAdam, one row per pair."""
    (axis,) = axes
    names = list(data)
    for method in ("normal", "best", "mcbo", "greedy"):
        shares = [data[name][method] / data[name]["convexAdam"] for name in names]
        axis.plot(shares, range(len(names)), MARKERS.get(method, "*"), ls="", label=method)
    axis.axvline(1, color="0.5", lw=0.8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="error relative to convexAdam")
    axis.legend(fontsize=8)


FIGURES: dict[str, tuple[Callable[[], Data], Callable[[Data, Sequence[Any]], None], int, float]] = {
    "memory": (memory_data, draw_memory, 2, 5.0),
    "effort": (effort_data, draw_effort, 1, 7.0),
    "compact-training": (training_data, draw_training, 1, 6.5),
    "mcbo-peers": (peers_data, draw_peers, 3, 3.6),
    "refinement-peers": (refinement_data, draw_refinement, 1, 7.0),
}
"""Name: what is drawn, how, number of axes side by side, and the width of each in inches."""


def digest(data: Data) -> str:
    """Return a digest of what a figure is drawn from."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def draw(name: str, folder: Path) -> Path:
    """Draw one figure as SVG and return its path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    read, paint, count, width = FIGURES[name]
    data = read()
    with plt.rc_context({"svg.hashsalt": name, "axes.grid": True, "grid.alpha": 0.3}):
        figure, axes = plt.subplots(1, count, figsize=(width * count, 3.8), squeeze=False)
        paint(data, list(axes[0]))
        figure.tight_layout()
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None, "Description": f"data {digest(data)}"})
        plt.close(figure)
    return path


def main() -> None:
    """Draw the figures that are named, or all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"one of {', '.join(FIGURES)}; all by default")
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder")
    arguments = parser.parse_args()
    for name in arguments.names or FIGURES:
        if name not in FIGURES:
            parser.error(f"{name!r} is not a figure; the figures are {', '.join(FIGURES)}")
        print(draw(name, arguments.out))


if __name__ == "__main__":
    main()
