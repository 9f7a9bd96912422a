"""What do the efforts fast, normal and best cost, and does the criterion of best choose well?

    PYTHONPATH=tools python -m benchmarks.effort --data FOLDER --out bench/effort

Each pair is aligned once. From there the effort `fast` is computed with the settings of MCBO's
specification, then `search`, `refined`, `thorough` (one contrast other than CT) and the candidate
`network`, which is not planned. `normal` is `refined`, or `search` where the search is not refined.
`best` chooses between `search` and `thorough`, or `refined` where there is no `thorough`. The
figures of a pair are appended to `runs.jsonl`, so that the same command resumes, and `table.md`
holds the table. The error is the end-point error in mm where the truth is known, else 1 - Dice.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean

import torch
from torch import Tensor

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.measurement import Timer
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.rendered_pairs import rendered_pairs
from benchmarks.harness.runs import Run, append_run, read_runs
from benchmarks.harness.tables import heading, row
from benchmarks.harness.zoo_methods import dense_field
from zoo.datasets.pairs import Pair, load_pair, pair_files
from zoo.hub.catalogue import find_model
from zoo.registration import MCBOInferer, WorkingPair, mcbo_frame
from zoo.registration.mcbo import refined
from zoo.registration.mcbo.candidates import HeldOutFeatures, preferred
from zoo.registration.mcbo.network import predicted
from zoo.solvers import MCBO
from zoo.solvers.affine import AffineAlignment
from zoo.solvers.fluid import unfold

SHOWN = ("fast", "search", "refined", "thorough", "network")


def main() -> None:
    """Measure the pairs that are not measured yet, and write the table."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    names = [name for name in args.pairs.split(",") if name]
    rendered = rendered_pairs(args.data / "anatomy_synthseg", args.rendered or args.out)
    file = args.out / "runs.jsonl"
    measured = {run["pair"] for run in read_runs(file)}
    for pair in [*data_pairs(args.data), *rendered]:
        if pair.name not in measured and (not names or pair.name in names):
            for run in list(measure(pair)):
                append_run(file, run)
    table = markdown(read_runs(file))
    (args.out / "table.md").write_text(table)
    print(table)


def measure(pair: BenchPair) -> Iterator[Run]:
    """Yield the figures of every candidate of a pair; seconds include the initial alignment."""
    loaded = load_pair(pair_files(str(pair.fixed), [str(pair.moving)]))
    inferer = MCBOInferer(mcbo_frame("accurate"), bar=False)
    with Timer() as aligning:
        alignment = inferer.initial_alignment(loaded)
        work = inferer.prepare(loaded, alignment)
    yield _fast(pair, loaded, alignment, aligning)
    timers = {name: Timer() for name in SHOWN}
    fields: dict[str, Tensor] = {}
    with timers["search"]:
        fields["search"] = unfold(MCBO()(work.image, masks=work.masks))[0]
    with timers["refined"]:
        fields["refined"], notes = _refined(fields["search"], work)
    with timers["thorough"]:
        thorough, more = refined(fields["search"], work, _silent, thorough=True)
    if more["thorough"]:
        fields["thorough"] = thorough
    if notes["refined"]:
        with timers["network"]:
            fields["network"] = _refined(predicted(work), work)[0]
    else:
        del fields["refined"]
    spent = {name: timer.cpu_seconds for name, timer in timers.items()}
    for name in ("refined", "thorough"):
        spent[name] += spent["search"]
    features = HeldOutFeatures(work)
    counted = features.counted(list(fields.values()))
    for name, field in fields.items():
        found = dense_field(work.transform(field), loaded.fixed)
        cpu = aligning.cpu_seconds + spent[name]
        yield _run(pair, name, accuracy(pair, found), cpu) | {
            "residual": features.residual(field, counted),
            "criterion": features.criterion(field, counted),
            "voxels": work.grid.voxels,
        }


def _fast(pair: BenchPair, loaded: Pair, alignment: AffineAlignment | None, aligning: Timer) -> Run:
    """Return the figures of the settings that the effort fast plans."""
    settings = find_model("mcbo").planning.effort["fast"].settings
    frame = mcbo_frame("accurate", None, settings["most_voxels"])
    inferer = MCBOInferer(frame, fluid=settings["fluid"], bar=False)
    with Timer() as timer:
        work = inferer.prepare(loaded, alignment)
        found = inferer.register(work, MCBO(), lambda done, text: None).transform
    figures = accuracy(pair, dense_field(found, loaded.fixed))
    return _run(pair, "fast", figures, aligning.cpu_seconds + timer.cpu_seconds)


def _refined(start: Tensor, work: WorkingPair) -> tuple[Tensor, Mapping[str, object]]:
    return refined(start, work, _silent)


def _silent(done: float, text: str) -> None:
    """Ignore the progress."""


def _run(pair: BenchPair, name: str, figures: Mapping[str, float], cpu_seconds: float) -> Run:
    return {
        "pair": pair.name,
        "method": name,
        "repeat": 0,
        "modality": "/".join(pair.modality),
        "cpu_seconds": cpu_seconds,
        **figures,
    }


def markdown(runs: list[Run]) -> str:
    """Return the table: a row for each pair and candidate, and the regret of the choice."""
    found: dict[str, dict[str, Run]] = {}
    for run in runs:
        found.setdefault(run["pair"], {})[run["method"]] = run
    columns = [
        "Dice or mm",
        "folded %",
        "SD log J",
        "in the body",
        "residual",
        "criterion",
        "CPU s",
    ]
    lines = [heading(["pair", "candidate"], columns)]
    for pair, methods in found.items():
        best = chosen(methods)
        for name in (name for name in SHOWN if name in methods):
            run = methods[name]
            quality = f"{run['epe_mm']:.3f} mm" if "epe_mm" in run else f"{run['dice']:.4f}"
            judged = (f"{run[key]:.2g}" if key in run else "" for key in ("residual", "criterion"))
            mark = " (chosen)" if name == best else ""
            spread = (f"{run[key]:.3f}" for key in ("sd_log_jacobian", "sd_log_jacobian_body"))
            folded, seconds = f"{run['folding_percent']:.4f}", f"{run['cpu_seconds']:.0f}"
            lines.append(row([pair, name + mark, quality, folded, *spread, *judged, seconds]))
    lines += ["", heading(["pair", "chosen"], ["regret %", "error / normal's", "fast / normal's"])]
    for pair, methods in found.items():
        best, normal = chosen(methods), methods.get("refined", methods["search"])["error"]
        ratios = [
            regret(methods),
            methods[best]["error"] / normal,
            methods["fast"]["error"] / normal,
        ]
        lines.append(row([pair, best, f"{100 * ratios[0]:.1f}", *(f"{r:.3f}" for r in ratios[1:])]))
    return "\n".join([*lines, "", summary(found.values())]) + "\n"


def summary(pairs: Collection[Mapping[str, Run]]) -> str:
    """Return the geometric means of the errors relative to `normal`, and the regrets."""
    normal = [methods.get("refined", methods["search"])["error"] for methods in pairs]
    best = [methods[chosen(methods)]["error"] for methods in pairs]
    fast = [methods["fast"]["error"] for methods in pairs]
    refined = [methods for methods in pairs if "thorough" in methods]
    text = f"best {mean_ratio(best, normal):.3f}, fast {mean_ratio(fast, normal):.3f}"
    if refined:
        thorough, usual = ([m[name]["error"] for m in refined] for name in ("thorough", "refined"))
        text += f", thorough {mean_ratio(thorough, usual):.3f} ({len(refined)} pairs)"
    regrets = [100 * regret(methods) for methods in pairs]
    without = [100 * regret(methods, margin=False) for methods in pairs]
    return (
        f"Error relative to normal, geometric mean: {text}. Regret: {fmean(regrets):.1f} % in the "
        f"mean, {max(regrets):.1f} % at most; without the margin {fmean(without):.1f} and "
        f"{max(without):.1f} %."
    )


def mean_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """Return the geometric mean of the ratios of two lists."""
    return geometric_mean([a / b for a, b in zip(values, others, strict=True)])


def planned(methods: Mapping[str, Run]) -> dict[str, Run]:
    """Return the candidates between which `--effort best` chooses."""
    refined = "thorough" if "thorough" in methods else "refined"
    return {name: methods[name] for name in ("search", refined) if name in methods}


def chosen(methods: Mapping[str, Run], margin: bool = True) -> str:
    """Return the candidate that `--effort best` keeps, with or without its margin."""
    search, *refined = planned(methods)
    values = {name: run.get("criterion", 0.0) for name, run in planned(methods).items()}
    usual = refined[0] if refined else search
    return preferred(values, usual=usual if margin else None)


def regret(methods: Mapping[str, Run], margin: bool = True) -> float:
    """Return by which share the error of the chosen candidate is above that of the best one."""
    least = min(run["error"] for run in planned(methods).values())
    return float(methods[chosen(methods, margin)]["error"] / least - 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with the image pairs")
    parser.add_argument("--pairs", default="", help="names of pairs, comma-separated; default: all")
    parser.add_argument("--out", type=Path, default=Path("bench/effort"), help="folder for results")
    parser.add_argument("--rendered", type=Path, help="folder of the rendered pairs; default: out")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads")
    return parser.parse_args()


if __name__ == "__main__":
    main()
