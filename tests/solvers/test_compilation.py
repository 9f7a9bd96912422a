"""Compiled loops work where their compiled code cannot be kept."""

import numba
import numpy as np

from zoo.solvers.compilation import compiled


def test_a_loop_is_compiled_although_no_cache_can_be_written(monkeypatch):
    njit = numba.njit

    def refusing(function, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(numba, "njit", refusing)

    @compiled
    def total(values):
        result = 0.0
        for value in values:
            result += value
        return result

    assert total(np.arange(5.0)) == 10
    assert np.isnan(total(np.array([1.0, np.nan])))
