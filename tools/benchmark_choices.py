"""Does the choice matter: each pair as it is planned, and with each fixed configuration for all.

    python tools/benchmark_choices.py DATA [--models FOLDER] [--out benchmarks/choices]

DATA holds the pairs that tools/benchmark.py measures too. FOLDER holds weights of networks, named
unigradicon.safetensors and so on; without it there is only MCBO to choose. Runs are appended to
OUT/runs.jsonl, each in a process of its own, and a second call goes on where the first one stopped;
settings that were run on a pair before are not run again. OUT/table.md is made of what is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.figures import figures
from bench.pairs import BenchPair, data_pairs
from benchmark import missing, read_runs

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.io.atomic import write_json
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import pair_fingerprint
from zoo.planning.plan import Plan, make_plan, override

ROOT = Path(__file__).resolve().parents[1]
PLANNED = "planned"

SOLVERS: Mapping[str, Mapping[str, Any]] = {
    "mcbo accurate, affine auto": {"mode": "accurate", "affine": "auto"},
    "mcbo accurate, affine none": {"mode": "accurate", "affine": "none"},
    "mcbo convexadam, affine auto": {"mode": "convexadam", "affine": "auto"},
}


def configurations(weights: Mapping[str, Path]) -> dict[str, Mapping[str, Any]]:
    """Return the settings of every fixed configuration by its name, which begins with the model."""
    out = dict(SOLVERS)
    for model in weights:
        for affine in ("none", "auto"):
            for refine in (0, 50):
                name = f"{model}, affine {affine}, {refine} steps"
                out[name] = {"affine": affine, "refine": refine}
    return out


def plan_of(
    name: str, pair: BenchPair, settings: Mapping[str, Any], weights: Mapping[str, Path]
) -> Plan:
    """Plan a pair from what is said of it, freely or as a configuration has it."""
    wishes = UserOptions(
        anatomy=pair.anatomy,
        modality=dict(zip("01", pair.modality, strict=True)),
        pairing=pair.pairing,
        model=None if name == PLANNED else name.split(",")[0].split()[0],
        available=("mcbo", *weights),
    )
    plan = make_plan(pair_fingerprint(pair.fixed, pair.moving), wishes)
    if not settings:
        return plan
    return override(plan, "fixed", settings, config_keys(bundle_folder(plan["plan"]["model"])))


def settings_of(plan: Plan) -> dict[str, Any]:
    """Return what a plan has a model run with."""
    kept = {name: value for name, value in plan.items() if name not in ("plan", "facts")}
    return {"model": plan["plan"]["model"], **kept}


def run_once(plan: Plan, pair: BenchPair, weights: Mapping[str, Path]) -> dict[str, Any]:
    """Register a pair by a plan and return the figures of what was found."""
    model = plan["plan"]["model"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "plan.json", plan)
        words = ["register", str(pair.fixed), str(pair.moving), "--out", str(folder / "out")]
        words += ["--plan", str(folder / "plan.json"), "--report=false", "--device", "cpu"]
        words += ["--weights", str(weights[model])] if model in weights else []
        done = subprocess.run(
            [sys.executable, "-m", "zoo", *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
        result = json.loads((folder / "out" / "result.json").read_text())
        grid = read_volume(pair.fixed).grid
        found = read_transform(folder / "out" / "transform.nii.gz").dense_on(grid).field
        field = found.permute(1, 2, 3, 0).contiguous().numpy()
    start = result["affine_start"]["kind"]
    return {"start": start, **figures(pair, field)}


def markdown(runs: list[dict[str, Any]]) -> str:
    """Return a row for each configuration: the figure of each pair, and how it compares.

    The last column is the geometric mean of its errors over those of the plan, then the largest.
    """
    pairs = list(dict.fromkeys(run["pair"] for run in runs))
    found = {(run["method"], run["pair"]): run for run in runs if "failed" not in run}
    lines = [
        f"| configuration | {' | '.join(pairs)} | error over that of the plan: mean, worst |",
        "|---|" + "---:|" * (len(pairs) + 1),
    ]
    for method in dict.fromkeys(run["method"] for run in runs):
        cells = [_cell(found.get((method, pair))) for pair in pairs]
        shared = [p for p in pairs if (method, p) in found and (PLANNED, p) in found]
        ratios = [found[method, p]["error"] / found[PLANNED, p]["error"] for p in shared]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else float("nan")
        cells.append(f"{mean:.3f}, {max(ratios):.3f}" if ratios else "")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    planned = [
        f"{p}: {found[PLANNED, p]['settings']['model']}" for p in pairs if (PLANNED, p) in found
    ]
    failed = [f"{r['method']} on {r['pair']}: {r['failed']}" for r in runs if "failed" in r]
    return "\n".join([*lines, "", f"Planned: {'; '.join(planned)}.", *failed]) + "\n"


def _cell(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "-"
    return f"{run['epe_body_mm']:.3f} mm" if "epe_mm" in run else f"Dice {run['dice']:.4f}"


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", type=Path, help="folder with NAME.safetensors of networks")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/choices"))
    given = parser.parse_args()
    files = sorted(given.models.glob("*.safetensors")) if given.models else []
    weights = {path.stem: path.resolve() for path in files}
    settings: dict[str, Mapping[str, Any]] = {PLANNED: {}} | configurations(weights)
    pairs = data_pairs(given.data.resolve())
    given.out.mkdir(parents=True, exist_ok=True)
    log = given.out / "runs.jsonl"
    for name, pair, _ in missing(read_runs(log), list(settings), pairs, 1):
        run: dict[str, Any] = {"method": name, "pair": pair.name, "repeat": 0}
        try:
            plan = plan_of(name, pair, settings[name], weights)
            same = {"pair": pair.name, "settings": settings_of(plan)}
            made = (old for old in read_runs(log) if "error" in old and same.items() <= old.items())
            run = next(made, {}) | same | run
            run |= {} if "error" in run else run_once(plan, pair, weights)
        except UserError as error:
            run["failed"] = str(error)
        with log.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(json.dumps(run), flush=True)
    (given.out / "table.md").write_text(markdown(read_runs(log)))


if __name__ == "__main__":
    main()
