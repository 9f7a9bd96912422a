"""Do the planned settings register better than one fixed configuration for all pairs?

    PYTHONPATH=tools python -m benchmarks.choices DATA [--models FOLDER]

DATA holds the pairs that `benchmarks.peers` measures too. FOLDER holds weights of networks, named
unigradicon.safetensors and so on; without it, MCBO is the only model. Runs are appended to
OUT/runs.jsonl, each in a process of its own; run the same command again to resume. Settings that
have been run on a pair before are not run again. OUT/table.md shows all runs so far.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.accuracy import accuracy
from benchmarks.harness.pairs import BenchPair, data_pairs
from benchmarks.harness.processes import ChildError, run_regzoo
from benchmarks.harness.runs import Run, append_run, missing_runs, read_runs
from benchmarks.harness.tables import heading, row
from benchmarks.harness.zoo_methods import dense_field
from zoo.errors import UserError
from zoo.io.atomic import write_json
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import pair_fingerprint
from zoo.planning.plan import Plan, make_plan, override

PLANNED = "planned"

SOLVERS: Mapping[str, Mapping[str, Any]] = {
    "mcbo accurate, affine auto": {"mode": "accurate", "affine": "auto"},
    "mcbo accurate, affine none": {"mode": "accurate", "affine": "none"},
    "mcbo convexadam, affine auto": {"mode": "convexadam", "affine": "auto"},
}


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the image pairs")
    parser.add_argument("--models", type=Path, help="folder with NAME.safetensors of networks")
    parser.add_argument("--out", type=Path, default=Path("bench/choices"), help="output folder")
    args = parser.parse_args()
    files = sorted(args.models.glob("*.safetensors")) if args.models else []
    weights = {path.stem: path.resolve() for path in files}
    settings: dict[str, Mapping[str, Any]] = {PLANNED: {}} | configurations(weights)
    pairs = data_pairs(args.data.resolve())
    log = args.out / "runs.jsonl"
    for name, pair, _ in missing_runs(read_runs(log), list(settings), pairs):
        append_run(log, run_configuration(name, pair, settings[name], weights, read_runs(log)))
    (args.out / "table.md").write_text(markdown(read_runs(log)))


def configurations(weights: Mapping[str, Path]) -> dict[str, Mapping[str, Any]]:
    """Return the settings of each fixed configuration by its name, which begins with the model."""
    settings = dict(SOLVERS)
    for model in weights:
        for affine in ("none", "auto"):
            for refine in (0, 50):
                name = f"{model}, affine {affine}, {refine} steps"
                settings[name] = {"affine": affine, "refine": refine}
    return settings


def run_configuration(
    name: str,
    pair: BenchPair,
    settings: Mapping[str, Any],
    weights: Mapping[str, Path],
    earlier: list[Run],
) -> Run:
    """Return the run of a configuration, copied if an earlier run used the same settings."""
    run: Run = {"method": name, "pair": pair.name, "repeat": 0}
    try:
        plan = plan_pair(name, pair, settings, weights)
        same = {"pair": pair.name, "settings": settings_of(plan)}
        known = (old for old in earlier if "error" in old and same.items() <= old.items())
        run = next(known, {}) | same | run
        return run if "error" in run else run | register(plan, pair, weights)
    except (UserError, ChildError) as error:
        return run | {"failed": str(error)}


def plan_pair(
    name: str, pair: BenchPair, settings: Mapping[str, Any], weights: Mapping[str, Path]
) -> Plan:
    """Plan a pair from its known facts, freely or with the settings of a fixed configuration."""
    options = UserOptions(
        anatomy=pair.anatomy,
        modality=dict(zip("01", pair.modality, strict=True)),
        pairing=pair.pairing,
        model=None if name == PLANNED else name.split(",")[0].split()[0],
        available=("mcbo", *weights),
    )
    plan = make_plan(pair_fingerprint(pair.fixed, pair.moving), options)
    if not settings:
        return plan
    return override(plan, "fixed", settings)


def settings_of(plan: Plan) -> dict[str, Any]:
    """Return the settings of a plan that decide the registration."""
    kept = {name: value for name, value in plan.items() if name not in ("plan", "facts")}
    return {"model": plan["plan"]["model"], **kept}


def register(plan: Plan, pair: BenchPair, weights: Mapping[str, Path]) -> dict[str, Any]:
    """Register a pair with a plan and return the kind of initial alignment and the accuracy."""
    model = plan["plan"]["model"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "plan.json", plan)
        words = ["register", str(pair.fixed), str(pair.moving), "--out", str(folder / "out")]
        words += ["--plan", str(folder / "plan.json"), "--report=false", "--device", "cpu"]
        words += ["--weights", str(weights[model])] if model in weights else []
        run_regzoo(words)
        result = json.loads((folder / "out" / "result.json").read_text())
        transform = read_transform(folder / "out" / "transform.nii.gz")
    displacement = dense_field(transform, read_volume(pair.fixed))
    return {"start": result["affine_start"]["kind"], **accuracy(pair, displacement)}


def markdown(runs: list[Run]) -> str:
    """Return one row per configuration: the figure of each pair, and the comparison with the plan.

    The last column is the geometric mean of its errors over those of the plan, then the largest.
    """
    pairs = list(dict.fromkeys(run["pair"] for run in runs))
    succeeded = {(run["method"], run["pair"]): run for run in runs if "failed" not in run}
    lines = [heading(["configuration"], [*pairs, "error relative to the plan: mean, worst"])]
    for method in dict.fromkeys(run["method"] for run in runs):
        cells = [_cell(succeeded.get((method, pair))) for pair in pairs]
        shared = [p for p in pairs if (method, p) in succeeded and (PLANNED, p) in succeeded]
        errors = [(succeeded[method, p]["error"], succeeded[PLANNED, p]["error"]) for p in shared]
        lines.append(row([method, *cells, _ratios([own / planned for own, planned in errors])]))
    models = [
        f"{p}: {succeeded[PLANNED, p]['settings']['model']}"
        for p in pairs
        if (PLANNED, p) in succeeded
    ]
    failed = [f"{r['method']} failed on {r['pair']}: {r['failed']}" for r in runs if "failed" in r]
    return "\n".join([*lines, "", f"Planned models: {'; '.join(models)}.", *failed]) + "\n"


def _ratios(ratios: list[float]) -> str:
    if not ratios:
        return ""
    return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.3f}, {max(ratios):.3f}"


def _cell(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return "-"
    return f"{run['epe_body_mm']:.3f} mm" if "epe_mm" in run else f"Dice {run['dice']:.4f}"


if __name__ == "__main__":
    main()
