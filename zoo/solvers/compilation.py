"""Compilation of loops over voxels and points, for the CPU.

Numba compiles a function when it is first needed and keeps the result beside the module, or in the
user's cache if the module's folder cannot be written. The functions release the interpreter's lock,
so that threads can share the work. Modules that use this one are imported where they are needed,
because numba takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

FAST_MATH = {"contract", "reassoc", "nsz", "arcp"}
"""Sums may be reordered, but NaN and infinity keep their meaning."""


def compiled(function: Function) -> Function:
    """Return a function that is compiled on its first use, once for each layout of its arrays."""
    return _compile(function, None)


def compiled_for(signature: str) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function for one signature, whatever layout arrays have.

    `signature` is a text of numba, in which `[:, :]` accepts any strides.
    """
    return partial(_compile, signature=signature)


def _compile(function: Function, signature: str | None) -> Function:
    compile_ = partial(numba.njit, signature, nogil=True, fastmath=FAST_MATH)
    try:
        return cast(Function, compile_(cache=True)(function))
    except RuntimeError:  # no cache can be written, so that every process compiles for itself
        return cast(Function, compile_()(function))
