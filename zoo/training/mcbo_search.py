"""Fitting MCBO's settings to a dataset: a seeded random search, then refinement of the best trial.

MCBO has no weights and no gradient. Trial n depends on the seed, on n and on the trials before it.
All trials are on disk, so a search that was interrupted resumes without a difference.
"""

from __future__ import annotations

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
from zoo.evaluation.figures import COMPARED, PREFERRED, RANKED, key_figure
from zoo.evaluation.metrics import measure
from zoo.evaluation.runs import Run
from zoo.io.atomic import write_json
from zoo.io.json_documents import read_json_object
from zoo.registration.mcbo import MCBOInferer, settings_of
from zoo.solvers.mcbo import MCBO
from zoo.solvers.settings import Mode
from zoo.training.checkpoint import plain, require_same
from zoo.training.mcbo_settings import Changes, perturbed_changes, random_changes
from zoo.training.tables import Row, best_row, means_of

TRIALS = "trials.json"
UNANNOTATED = ("similarity_after", "folding_percent")
"""The figures that rank the trials on pairs without labels and landmarks."""


@dataclass(frozen=True)
class Trial:
    """A mode with some settings changed, the figures of each pair by name, and the duration."""

    mode: Mode
    changes: Changes
    figures: Mapping[str, Mapping[str, float | None]]
    seconds: float

    @property
    def means(self) -> Row:
        """The means of the figures over the pairs."""
        return means_of(list(self.figures.values()))


@dataclass(frozen=True)
class ValidatedSettings:
    """The settings to keep, the figure that decided, and the mean figures before and after."""

    chosen: Trial
    figure: str | None
    figures_before: Row
    figures_after: Row


class SettingsSearch:
    """Searches for the settings of MCBO that register `pairs` best.

    The first trials are the presets of `modes`, the last `refine` trials are small changes of the
    best trial so far, and those between are drawn at random; `max_epochs` counts all of them. At
    most `most_pairs` of the pairs are used.
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
            raise UserError(
                f"modes {sorted(unknown)} cannot be fitted; use accurate, paper or both"
            )
        if max_epochs < len(modes):
            raise UserError(
                f"{max_epochs} trial(s) are too few: the {len(modes)} presets of the modes come "
                f"first; use {len(modes)} or more"
            )
        self.pairs = pairs
        self.inferer = inferer
        self.folder = Path(folder)
        self.max_epochs = max_epochs
        self.refine = refine
        self.modes = tuple(modes)
        self.most_pairs = most_pairs
        self.seed = seed
        self.signature = plain(signature) | {"seed": seed}
        self.bar = bar
        self.trials: list[Trial] = []

    def run(self) -> Trial:
        """Run all trials that are not on disk yet, and return the best."""
        self.trials = self._read()
        evaluate = TrialEvaluator(self._subset(self.pairs), self.inferer)
        bar = tqdm(range(self.max_epochs), "search", disable=None if self.bar else True)
        for number in bar:
            if number < len(self.trials):
                continue
            mode, changes = self.propose(number)
            self.trials.append(evaluate(mode, changes))
            self._write()
            bar.set_postfix_str(f"best so far: trial {self.trials.index(self.best())}")
        return self.best()

    def best(self) -> Trial:
        """Return the best of the trials so far."""
        return self.trials[rank_trials(self.trials)[0]]

    def propose(self, number: int) -> tuple[Mode, Changes]:
        """Return the mode and the changes of trial `number`, given the trials before it."""
        random = np.random.default_rng([self.seed, number])
        if number < len(self.modes):
            return self.modes[number], {}
        tried = [(trial.mode, trial.changes) for trial in self.trials]
        for _ in range(100):  # attempts to find settings that are new
            if number < self.max_epochs - self.refine:
                mode = self.modes[int(random.integers(len(self.modes)))]
                proposal = mode, random_changes(mode, random)
            else:
                best = self.best()
                proposal = best.mode, perturbed_changes(best.mode, best.changes, random)
            if proposal not in tried:
                break
        return proposal

    def validate(self, pairs: Sequence[Pair]) -> ValidatedSettings:
        """Compare the best settings with the first preset on other pairs, and keep the better."""
        evaluate = TrialEvaluator(self._subset(pairs), self.inferer)
        preset, best = self.trials[0], self.best()
        before = evaluate(preset.mode, preset.changes).means
        after = evaluate(best.mode, best.changes).means
        figure = key_figure(before)
        if best_row([before, after], figure) is after:
            return ValidatedSettings(best, figure, before, after)
        return ValidatedSettings(preset, figure, before, before)

    def _subset(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return at most `most_pairs` of the pairs, evenly spread."""
        count = len(pairs)
        used = min(self.most_pairs, count)
        return [pairs[k * count // used] for k in range(used)]

    def _read(self) -> list[Trial]:
        """Return the trials on disk."""
        path = self.folder / TRIALS
        if not path.is_file():
            return []
        document = read_json_object(path)
        require_same(path, document.get("signature", {}), self.signature)
        try:
            return [Trial(**trial) for trial in document["trials"]][: self.max_epochs]
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged ({error}); delete it to start the search again"
            ) from error

    def _write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        trials = [vars(trial) for trial in self.trials]
        write_json(self.folder / TRIALS, {"signature": self.signature, "trials": trials})


class TrialEvaluator:
    """Registers pairs with given settings and measures the result; pairs are prepared once."""

    def __init__(self, pairs: Sequence[Pair], inferer: MCBOInferer) -> None:
        self.prepared = [
            (pair, inferer.prepare(pair, inferer.initial_alignment(pair))) for pair in pairs
        ]

    def __call__(self, mode: Mode, changes: Changes) -> Trial:
        """Return the trial of a mode with some settings changed."""
        settings_of(mode, changes)
        started = time.perf_counter()
        solver = MCBO(mode, changes=changes)
        figures = {}
        for pair, work in self.prepared:
            transform = work.transform(solver(work.image, masks=work.masks))
            figures[pair.name] = measure(pair, transform.to("cpu")).figures
        return Trial(mode, changes, figures, round(time.perf_counter() - started, 3))


def rank_trials(trials: Sequence[Trial]) -> list[int]:
    """Return the numbers of the trials, best first.

    Trials are ranked as Learn2Reg ranks methods, by rank-sum tests between them. Trials of one rank
    are ordered by the mean of the preferred figure.
    """
    names = [str(number) for number in range(len(trials))]
    runs = [Run(n, trial.figures, {}) for n, trial in zip(names, trials, strict=True)]
    figures = ranking_figures(trials)
    scores = ranking({name: _table(trials, name) for name in figures}, runs)
    preferred = next((name for name in PREFERRED if name in figures), None)
    direction = COMPARED[preferred].better if preferred else 1

    def goodness(number: int) -> tuple[float, float]:
        mean = trials[number].means.get(preferred or "") or 0.0
        return scores[names[number]].get("overall", 0.0), mean * direction

    return sorted(range(len(trials)), key=goodness, reverse=True)


def ranking_figures(trials: Sequence[Trial]) -> list[str]:
    """Return the figures that rank the trials: those that every pair has in every trial.

    Without labels and landmarks these are figures of the images and the transform.
    """

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
    """Return the values of a figure as [trial, pair]."""
    cases = list(trials[0].figures)
    return np.array([[trial.figures[c][name] for c in cases] for trial in trials], dtype=float)
