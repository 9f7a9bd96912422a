"""What a registration is doing, how long each stage took, and a progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm


class ProgressStages:
    """Seconds a stage, and a bar that names the stage at work. The bar shows on a terminal only."""

    def __init__(self, name: str, *, bar: bool = True) -> None:
        self.seconds: dict[str, float] = {}
        self._bar = tqdm(
            total=100,
            desc=name,
            disable=None if bar else True,
            leave=False,
            bar_format="{desc}: {percentage:3.0f}% |{bar}| {elapsed} {postfix}",
        )

    @contextmanager
    def __call__(self, stage: str, share: float) -> Iterator[None]:
        """Time a stage that is about `share` percent of the whole."""
        self._bar.set_postfix_str(stage)
        before = self._bar.n
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
            self._bar.update(min(before + share, 100) - self._bar.n)

    def progress(self, start: float, share: float) -> StageProgress:
        """Return a callback that moves the bar from `start` by a fraction of `share` percent."""
        return StageProgress(self._bar, start, share)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


class StageProgress:
    """A callback (fraction done, words) for a solver."""

    def __init__(self, bar: tqdm, start: float, share: float) -> None:
        self._bar, self._start, self._share = bar, start, share

    def __call__(self, fraction: float, words: str = "") -> None:
        """Show that `fraction` of the stage is done."""
        self._bar.set_postfix_str(words)
        self._bar.update(max(0.0, self._start + fraction * self._share - self._bar.n))
