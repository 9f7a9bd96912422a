"""The finished pairs of a run: their entries in a file, their figures and ranks in memory."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from zoo.evaluation.figures import COMPARED, PREFERRED
from zoo.evaluation.quality import QUALITIES


class FinishedPairs:
    """Entries of summary.json in `file`, which is open for reading and writing.

    Eight bytes per pair and figure are in memory, twice as many while they are summarised.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._severities, self._warnings = array("b"), array("i")
        self._figures: dict[str, array[float]] = {}
        self.qualities: Counter[str | None] = Counter()

    def __len__(self) -> int:
        return len(self._severities)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Read the entries in the order in which they were added."""
        self._file.seek(0)
        return map(json.loads, self._file)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add the entry of a pair."""
        self._file.write(json.dumps(entry, allow_nan=False) + "\n")
        for name, value in entry["figures"].items():
            column = self._figures.setdefault(name, array("d"))
            self._fill(column)
            column.append(np.nan if value is None else value)
        self.qualities[entry["quality"]] += 1
        self._severities.append(severity(entry["quality"]))
        self._warnings.append(len(entry["warnings"]))

    def columns(self) -> dict[str, np.ndarray]:
        """Return the values of each figure, one per pair; NaN where a pair lacks it."""
        for column in self._figures.values():
            self._fill(column)
        return {name: np.array(column) for name, column in self._figures.items()}

    def worst(self, most: int) -> list[dict[str, Any]]:
        """Return the entries of the `most` worst pairs, the worst first.

        They are ranked by quality, by the number of warnings, then by the preferred figure that all
        pairs have.
        """
        columns = self.columns()
        name = next((k for k in PREFERRED if k in columns and not np.isnan(columns[k]).any()), None)
        value = np.zeros(len(self)) if name is None else columns[name] * COMPARED[name].better
        keys = (value, -np.array(self._warnings), -np.array(self._severities))
        ranks = {int(k): rank for rank, k in enumerate(np.lexsort(keys)[:most])}
        found = {ranks[k]: entry for k, entry in enumerate(self) if k in ranks}
        return [found[rank] for rank in range(len(found))]

    def _fill(self, column: array[float]) -> None:
        """Append NaN for the pairs so far that lack a figure."""
        column.extend([np.nan] * (len(self) - len(column)))


def severity(quality: str | None) -> int:
    """Return 0 for the quality ok, 1 for check, 2 for failed, and 1 if the quality is unknown.

    A result that was written by an earlier version has no quality.
    """
    return QUALITIES.index("check" if quality is None else quality)
