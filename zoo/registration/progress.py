"""The time that each stage of a registration takes, and its progress bar."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tqdm import tqdm

from zoo.errors import on_one_line
from zoo.solvers.instance import ProgressCallback

Bar = bool | Literal["lines"]
"""Whether a progress bar is shown; "lines" prints lines on standard error for another program."""

LINE = "progress"
"""The first word of a line of progress; the percentage and the stage follow."""


class RegistrationProgress:
    """Measures the seconds per stage and shows the current stage in a progress bar.

    The bar is shown on a terminal and in a notebook only. Lines are printed everywhere.
    """

    def __init__(self, name: str, *, bar: Bar = True) -> None:
        self.seconds: dict[str, float] = {}
        self._bar = _Lines() if bar == "lines" else _progress_bar(name, shown=bar)

    @contextmanager
    def stage(self, name: str, percent: float) -> Iterator[ProgressCallback]:
        """Time a stage that takes about `percent` of a registration; yield its progress callback.

        The callback takes the fraction of the stage that is done, from 0 to 1, and a short text.
        """
        self._bar.set_postfix_str(name)
        begin = self._bar.n

        def report(fraction: float, text: str = "") -> None:
            self._bar.set_postfix_str(text)
            self._bar.update(max(0.0, begin + fraction * percent - self._bar.n))

        started = time.perf_counter()
        try:
            yield report
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started
            self._bar.update(min(begin + percent, 100) - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


class _Lines:
    """Prints a line for each percent and each stage, with the interface of a bar of tqdm."""

    def __init__(self) -> None:
        self.n = 0.0
        self._stage = ""
        self._printed = ""

    def set_postfix_str(self, stage: str) -> None:
        """Set the text that follows the percentage; an empty text changes nothing."""
        self._stage = on_one_line(stage) or self._stage
        self._print()

    def update(self, percent: float) -> None:
        """Advance by so many percent."""
        self.n += percent
        self._print()

    def close(self) -> None:
        """End the progress; what follows is that the results are saved."""
        self.n, self._stage = 100.0, "saving"
        self._print()

    def _print(self) -> None:
        line = f"{LINE} {self.n:.0f} {self._stage}"
        if line != self._printed:
            print(line, file=sys.stderr, flush=True)
            self._printed = line


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def _progress_bar(name: str, *, shown: bool) -> tqdm:
    notebook = in_notebook()
    return (_notebook_bar() if notebook and shown else tqdm)(
        total=100,
        desc=name,
        disable=(False if notebook else None) if shown else True,
        leave=False,
        bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} {postfix}",
    )


def _notebook_bar() -> type[tqdm]:
    """Return the bar for notebooks: a widget if ipywidgets is installed, else text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ipywidgets is missing
        from tqdm.auto import tqdm as auto
    bar: type[tqdm] = auto
    return bar
