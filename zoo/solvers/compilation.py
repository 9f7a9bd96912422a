"""Compilation of loops over voxels and points, for the CPU.

Numba compiles a function on its first use and keeps the result beside the module, or in the user's
cache if the module's folder cannot be written. The functions release the interpreter's lock, so
that threads can share the work. Modules that use this one are imported where they are needed,
because numba takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be reordered, but NaN and infinity keep their meaning."""


def compiled(function: Function) -> Function:
    """Return a function that is compiled on its first use."""
    try:
        return cast(Function, numba.njit(function, cache=True, nogil=True, fastmath=FAST_MATH))
    except RuntimeError:  # no cache can be written, so that every process compiles for itself
        return cast(Function, numba.njit(function, nogil=True, fastmath=FAST_MATH))
