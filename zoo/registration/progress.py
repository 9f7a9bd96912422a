"""The time that each stage of a registration takes, and its progress bar."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from zoo.solvers.instance import ProgressCallback


class RegistrationProgress:
    """Measures the seconds per stage and shows the current stage in a progress bar.

    The bar is shown on a terminal and in a notebook only.
    """

    def __init__(self, name: str, *, bar: bool = True) -> None:
        self.seconds: dict[str, float] = {}
        notebook = in_notebook()
        self._bar = (_notebook_bar() if notebook and bar else tqdm)(
            total=100,
            desc=name,
            disable=(False if notebook else None) if bar else True,
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} {postfix}",
        )

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


def in_notebook() -> bool:
    """Return whether the code runs in the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def _notebook_bar() -> type[tqdm]:
    """Return the bar for notebooks: a widget if ipywidgets is installed, else text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that ipywidgets is missing
        from tqdm.auto import tqdm as auto
    bar: type[tqdm] = auto
    return bar
