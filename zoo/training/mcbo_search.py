"""Fitting MCBO's settings to a dataset: seeded random search, then refinement about the best.

There is no gradient. Trial n depends on the seed, on n and on the trials before it, all of which
are on disk, so a search that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from zoo.datasets.pairs import Pair
from zoo.errors import UserError
from zoo.evaluation.comparison import ranking
from zoo.evaluation.figures import COMPARED, PREFERRED, RANKED
from zoo.evaluation.metrics import measure
from zoo.evaluation.runs import Run
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_object
from zoo.registration.mcbo import MCBOInferer
from zoo.registration.mcbo_presets import settings_of
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import PRESETS, Mode
from zoo.training.checkpoint import require_same
from zoo.training.log import Row, means_of

Changes = dict[str, Any]

TRIALS = "trials.json"
UNANNOTATED = ("similarity_after", "folding_percent")
"""What ranks the trials on pairs without labels and key points."""

CASCADES = ((4,), (6,), (8,), (8, 4), (12, 6))
SUMS = ((2, 4, 6), (1, 2, 4, 6), (2, 4), (4, 6), (2, 4, 8))
REACH = (2, 6)
RADII, DILATIONS = (1, 3), (1, 3)
STRENGTH = 8.0  # lambda is drawn from its preset's value / 8 to 8 times it


@dataclass(frozen=True)
class Trial:
    """A mode with some settings changed, and its figures by the pairs' names."""

    mode: Mode
    changes: Changes
    figures: Mapping[str, Mapping[str, float | None]]
    seconds: float

    @property
    def means(self) -> Row:
        """The means of the figures over the pairs."""
        return means_of(list(self.figures.values()))


class SettingsSearch:
    """Looks for the settings of MCBO that register `pairs` best.

    The first trials are the presets, `random` ones follow, and then `refine` changes of the best so
    far. `max_epochs` is the number of all of them. Trials are ranked as Learn2Reg ranks methods, by
    key points and labels, or by similarity and folding where there are neither; those that the
    ranking cannot tell apart by the mean of the figure that tells most.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        inferer: MCBOInferer,
        folder: str | Path,
        *,
        max_epochs: int = 40,
        refine: int = 16,
        modes: Sequence[Mode] = ("accurate", "paper"),
        most_pairs: int = 8,
        seed: int = 0,
        signature: Mapping[str, Any] | None = None,
        bar: bool = True,
    ) -> None:
        if unknown := set(modes) - {"accurate", "paper"}:
            raise UserError(f"modes {sorted(unknown)} cannot be fitted; use accurate, paper")
        if max_epochs < len(modes):
            raise UserError(f"{max_epochs} trials are too few: {len(modes)} presets come first")
        self.pairs = pairs
        self.inferer = inferer
        self.folder = Path(folder)
        self.max_epochs = max_epochs
        self.refine = refine
        self.modes = tuple(modes)
        self.most_pairs = most_pairs
        self.seed = seed
        self.signature = json.loads(json.dumps(dict(signature or {}) | {"seed": seed}))
        self.bar = bar
        self.trials: list[Trial] = []

    def run(self) -> Trial:
        """Make all trials that are not on disk yet, and return the best."""
        self.trials = self._read()
        judge = TrialEvaluator(self._some(self.pairs), self.inferer)
        bar = tqdm(range(self.max_epochs), "search", disable=None if self.bar else True)
        for number in bar:
            if number < len(self.trials):
                continue
            mode, changes = self.propose(number)
            self.trials.append(judge(mode, changes))
            self._write()
            bar.set_postfix_str(f"best so far: trial {self.trials.index(self.best())}")
        return self.best()

    def best(self) -> Trial:
        """Return the best of the trials so far."""
        return self.trials[order_of(self.trials)[0]]

    def propose(self, number: int) -> tuple[Mode, Changes]:
        """Return what trial `number` tries, given those before it."""
        random = np.random.default_rng([self.seed, number])
        if number < len(self.modes):
            return self.modes[number], {}
        tried = [(trial.mode, trial.changes) for trial in self.trials]
        for _ in range(100):
            if number < self.max_epochs - self.refine:
                mode = self.modes[int(random.integers(len(self.modes)))]
                found = mode, draw(mode, random)
            else:
                found = self.best().mode, vary(self.best().mode, self.best().changes, random)
            if found not in tried:
                break
        return found

    def check(self, pairs: Sequence[Pair]) -> tuple[Trial, Trial]:
        """Return what the first preset and the best settings do on other pairs."""
        judge, first, best = (
            TrialEvaluator(self._some(pairs), self.inferer),
            self.trials[0],
            self.best(),
        )
        return judge(first.mode, first.changes), judge(best.mode, best.changes)

    def _some(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return `most_pairs` of pairs, evenly spread over all."""
        count = len(pairs)
        wanted = min(self.most_pairs, count)
        return [pairs[k * count // wanted] for k in range(wanted)]

    def _read(self) -> list[Trial]:
        path = self.folder / TRIALS
        if not path.is_file():
            return []
        found = read_object(path)
        require_same(path, found.get("signature", {}), self.signature)
        try:
            return [Trial(**trial) for trial in found["trials"]][: self.max_epochs]
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it to begin again") from error

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        trials = [vars(trial) for trial in self.trials]
        write_json(self.folder / TRIALS, {"signature": self.signature, "trials": trials})


class TrialEvaluator:
    """Registers pairs with settings and measures them; what the solver is given is made once."""

    def __init__(self, pairs: Sequence[Pair], inferer: MCBOInferer) -> None:
        self.inferer = inferer
        self.works = [(pair, inferer.prepare(pair, inferer.start(pair))) for pair in pairs]

    def __call__(self, mode: Mode, changes: Changes) -> Trial:
        """Return a trial of the settings."""
        settings_of(mode, changes)
        started = time.perf_counter()
        solver = MCBO(mode, changes=changes)
        figures = {}
        for pair, work in self.works:
            transform = work.transform(solver(work.image, masks=work.masks))
            figures[pair.name] = measure(pair, transform.to("cpu")).figures
        return Trial(mode, changes, figures, round(time.perf_counter() - started, 3))


def draw(mode: Mode, random: np.random.Generator) -> Changes:
    """Draw settings of a mode: levels, reach, weights, lambda, and the radius of MIND."""
    cascade = PRESETS[mode].weights is None
    levels = (CASCADES if cascade else SUMS)[int(random.integers(5))]
    changes: Changes = {
        "levels": list(levels),
        "reach": [int(n) for n in random.integers(REACH[0], REACH[1] + 1, len(levels))],
        "mind_radius": int(random.integers(RADII[0], RADII[1] + 1)),
        "mind_dilation": int(random.integers(DILATIONS[0], DILATIONS[1] + 1)),
        **_scaled(mode, STRENGTH ** random.uniform(-1, 1)),
    }
    if not cascade:
        changes["weights"] = _shares(random.dirichlet(np.full(len(levels), 4.0)))
    return changes


def vary(mode: Mode, changes: Changes, random: np.random.Generator) -> Changes:
    """Change one or two of the settings a little."""
    start = PRESETS[mode]
    out: Changes = dict(changes)
    names = [
        "reach",
        "lambda",
        "mind_radius",
        "mind_dilation",
        *(["weights"] if start.weights else []),
    ]
    for name in random.choice(names, int(random.integers(1, 3)), replace=False):
        if name == "reach":
            reach = list(out.get("reach", start.reach))
            k = int(random.integers(len(reach)))
            reach[k] = _stepped(reach[k], REACH, random)
            out["reach"] = reach
        elif name == "lambda":
            key = _lambda(mode)
            factor = 2 ** random.uniform(-1, 1)
            out[key] = [round(v * factor, 4) for v in out.get(key, getattr(start, key))]
        elif name == "weights":
            shares = np.array(out.get("weights", start.weights)) * 2 ** random.uniform(
                -0.5, 0.5, len(out.get("levels", start.levels))
            )
            out["weights"] = _shares(shares / shares.sum())
        else:
            limits = RADII if name == "mind_radius" else DILATIONS
            out[str(name)] = _stepped(int(out.get(name, getattr(start, name))), limits, random)
    return out


def _stepped(value: int, limits: tuple[int, int], random: np.random.Generator) -> int:
    return int(np.clip(value + random.choice([-1, 1]), *limits))


def _lambda(mode: Mode) -> str:
    """Return which setting weighs smoothness in a mode."""
    return "adam_bendings" if any(PRESETS[mode].adam_bendings) else "adam_diffusions"


def _scaled(mode: Mode, factor: float) -> Changes:
    name = _lambda(mode)
    return {name: [round(value * factor, 4) for value in getattr(PRESETS[mode], name)]}


def _shares(values: NDArray[np.float64]) -> list[float]:
    """Return weights of two digits that sum to one."""
    rounded = [round(float(v), 2) for v in values[:-1]]
    return [*rounded, round(1 - sum(rounded), 2)]


def order_of(trials: Sequence[Trial]) -> list[int]:
    """Return the numbers of the trials, best first."""
    names = [str(number) for number in range(len(trials))]
    runs = [Run(n, trial.figures, {}) for n, trial in zip(names, trials, strict=True)]
    figures = figures_that_rank(trials)
    tables = {name: _table(trials, name) for name in figures}
    scores = ranking(tables, runs)
    key = next((n for n in PREFERRED if n in figures), None)

    def goodness(number: int) -> tuple[float, float]:
        mean = trials[number].means.get(key or "") or 0.0
        return scores[names[number]].get("overall", 0.0), mean * (
            COMPARED[key].better if key else 1
        )

    return sorted(range(len(trials)), key=goodness, reverse=True)


def figures_that_rank(trials: Sequence[Trial]) -> list[str]:
    """Return the figures that every pair has in every trial: of annotations, or else of images."""

    def known(name: str) -> bool:
        rows = [row for trial in trials for row in trial.figures.values()]
        return all(_finite(row.get(name)) for row in rows)

    annotated = [name for name in RANKED if known(name)]
    if any(name in annotated for name in ("tre_mm_after", "dice_after")):
        return annotated
    return [name for name in UNANNOTATED if known(name)]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _table(trials: Sequence[Trial], name: str) -> NDArray[np.float64]:
    """Return a figure as [trial, pair]."""
    cases = list(trials[0].figures)
    return np.array([[trial.figures[c][name] for c in cases] for trial in trials], dtype=float)
