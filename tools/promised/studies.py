"""A dataset: check, plan, run, resume, evaluate and compare, as in the tutorial on cohorts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from promised.promise import Place, Promise, ensure, voxels
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

CASES = 3


def study(place: Place) -> Path:
    """Return the folder of the common study, in which `plan.json` and the run `run` are made once.

    It holds a T1 and a T2 image of each of three phantoms, with labels.
    """
    root = place.shared / "cohort"
    if root.exists():
        return root
    (root / "study").mkdir(parents=True)
    for case in range(1, CASES + 1):
        pair = make_pair(
            case, shape=(40, 44, 36), spacing=(3, 3, 3.5), axes="LPS", tilt_degrees=8,
            contrasts=("t1", "t2"),
        )  # fmt: skip
        for side, name in (("fixed", "T1w"), ("moving", "T2w")):
            grid = getattr(pair, f"{side}_grid")
            stem = root / "study" / f"sub-{case:02d}_{name}"
            write_volume(f"{stem}.nii.gz", getattr(pair, side), grid, torch.int16)
            write_volume(f"{stem}_dseg.nii.gz", getattr(pair, f"{side}_labels"), grid)
    inside = Place(root, place.shared)
    inside.regzoo("init", "study", "--anatomy", "brain")
    inside.regzoo("plan", "study", "--out", "plan.json")
    inside.regzoo("run", "plan.json", "--out", "run")
    return root


def _results(run: Path) -> dict[str, dict]:
    """Return result.json of every pair of a run, by the name of its folder."""
    return {p.parent.name: json.loads(p.read_text()) for p in sorted(run.glob("*/result.json"))}


def a_study_is_described_and_planned(place: Place) -> str:
    """`init`, `check` and `plan --explain` describe a folder of images and give the rule of every
    setting.
    """
    root = study(place)
    said = place.regzoo("check", root / "study")
    ensure("0 errors" in said, said)
    said = place.regzoo("plan", root / "study", "-o", "plan.json", "--explain")
    choices = place.json("plan.json")["plan"]["choices"]
    silent = [name for name, choice in choices.items() if not choice.get("rule")]
    ensure(bool(choices) and not silent, f"no rule for: {silent}")
    unexplained = [choice["rule"] for choice in choices.values() if choice["rule"] not in said]
    ensure(not unexplained, f"--explain does not name {unexplained}")
    return f"0 errors, {len(choices)} settings with their rules"


def every_pair_is_registered(place: Place) -> str:
    """`regzoo run` registers every pair, improves its Dice, and writes a summary and a report."""
    run = study(place) / "run"
    results = _results(run)
    ensure(len(results) == CASES, f"{len(results)} of {CASES} pairs have a result")
    gains = [r["figures"]["dice_after"] - r["figures"]["dice_before"] for r in results.values()]
    ensure(min(gains) > 0, f"gains in Dice: {gains}")
    summary = json.loads((run / "summary.json").read_text())
    ensure((summary["finished"], summary["errors"]) == (CASES, []), f"{summary['errors']}")
    rows = (run / "summary.csv").read_text().splitlines()
    ensure(len(rows) == CASES + 1, f"summary.csv has {len(rows)} lines")
    ensure(all(name in (run / "report.html").read_text() for name in results), "report.html")
    return f"{CASES} pairs, smallest gain in Dice {min(gains):.3f}"


def a_run_is_resumed(place: Place) -> str:
    """The same `regzoo run` again registers only the pair whose result is missing."""
    root = study(place)
    run = Path(shutil.copytree(root / "run", place.folder / "run"))
    names = sorted(_results(run))
    before = {name: (run / name / "result.json").stat().st_mtime_ns for name in names}
    old = (run / names[1] / "transform.nii.gz").read_bytes()
    shutil.rmtree(run / names[1])
    place.regzoo("run", root / "plan.json", "--out", "run")
    again = [n for n in names if (run / n / "result.json").stat().st_mtime_ns != before[n]]
    ensure(again == [names[1]], f"registered again: {again}")
    ensure((run / names[1] / "transform.nii.gz").read_bytes() == old, "another transform")
    return "one of three pairs was registered again, with an equal transform"


def a_run_is_evaluated(place: Place) -> str:
    """`regzoo evaluate` writes the figures of every pair, which are those of the registrations."""
    run = shutil.copytree(study(place) / "run", place.folder / "run")
    place.regzoo("evaluate", "run")
    ensure((place.folder / "run" / "figures.csv").is_file(), "figures.csv was not written")
    mean = place.json("run/figures.json")["summary"]["dice_after"]["mean"]
    values = [result["figures"]["dice_after"] for result in _results(Path(run)).values()]
    told = sum(values) / len(values)
    ensure(abs(mean - told) < 1e-6, f"mean Dice {mean} in figures.json, {told} in result.json")
    return f"mean Dice {mean:.3f} of {len(values)} pairs in both"


def two_runs_are_compared(place: Place) -> str:
    """A plan with one changed setting gives a second run, and `regzoo compare` ranks both."""
    root = study(place)
    shutil.copytree(root / "run", place.folder / "accurate")
    words = ["plan", root / "plan.json", "--set", "mode=convexadam", "--name", "convexadam"]
    place.regzoo(*words, "-o", "convexadam.json")
    place.regzoo("run", "convexadam.json", "--out", "convexadam")
    modes = {
        result["settings"]["mode"] for result in _results(place.folder / "convexadam").values()
    }
    ensure(modes == {"convexadam"}, f"the modes were {modes}")
    for run in ("accurate", "convexadam"):
        place.regzoo("evaluate", run)
    said = place.regzoo("compare", "accurate", "convexadam", "--out", "comparison")
    ensure((place.folder / "comparison" / "comparison.png").is_file(), "comparison.png is missing")
    ensure(all(name in said for name in ("accurate", "convexadam", "dice_after")), said)
    return next(line for line in said.splitlines() if "dice_after" in line)


def two_workers_give_the_same(place: Place) -> str:
    """`regzoo run --workers 2` gives the transforms of one process."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        return "not tried: Dask is not installed"
    root = study(place)
    place.regzoo("run", root / "plan.json", "--out", "run", "--workers", "2", "--threads", "1")
    names = list(_results(root / "run"))
    for name in names:
        one, two = (
            path / name / "transform.nii.gz" for path in (root / "run", place.folder / "run")
        )
        apart = float(np.abs(voxels(one) - voxels(two)).max())
        ensure(apart < 1e-3, f"the transforms of {name} differ by {apart:.2g} mm")
    return f"{len(names)} pairs, equal transforms"


STUDIES: tuple[Promise, ...] = (
    a_study_is_described_and_planned,
    every_pair_is_registered,
    a_run_is_resumed,
    a_run_is_evaluated,
    two_runs_are_compared,
    two_workers_give_the_same,
)
