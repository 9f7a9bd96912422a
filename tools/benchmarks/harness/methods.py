"""The methods that are compared, by name.

To add a method, write a function as in `zoo_methods` and `peer_methods` and enter it here with the
modules that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.harness.pairs import BenchPair
from benchmarks.harness.peer_methods import (
    ants_registration,
    convexadam,
    elastix,
    greedy,
    simple_itk_affine,
)
from benchmarks.harness.zoo_methods import Judged, affine, mcbo, model, register, shared_start


@dataclass(frozen=True)
class Method:
    """A function that registers a pair, and the modules to import before it is timed."""

    run: Callable[[BenchPair], np.ndarray | Judged]
    modules: tuple[str, ...] = ()


_NETWORKS = ("unigradicon", "multigradicon", "unireg")

METHODS: dict[str, Method] = {
    "fast": Method(partial(register, effort="fast"), ("zoo.api",)),
    "normal": Method(register, ("zoo.api",)),
    "best": Method(partial(register, effort="best"), ("zoo.api",)),
    **{name: Method(partial(model, name=name, refine=0), ("zoo.api",)) for name in _NETWORKS},
    **{
        f"{name}-refined": Method(partial(model, name=name, refine=50), ("zoo.api",))
        for name in _NETWORKS
    },
    "multigradicon-mind": Method(
        partial(model, name="multigradicon", refine=50, similarity="mind"), ("zoo.api",)
    ),
    "start": Method(lambda pair: affine(pair, shared_start(pair))),
    "affine": Method(partial(affine, kind="affine")),
    "affine-auto": Method(partial(affine, kind="auto")),
    "mcbo": Method(partial(mcbo, mode="accurate")),
    "mcbo-affine": Method(partial(mcbo, mode="accurate", kind="auto")),
    "mcbo-paper": Method(partial(mcbo, mode="paper")),
    "mcbo-convexadam": Method(partial(mcbo, mode="convexadam")),
    "convexAdam": Method(convexadam, ("convexAdam.convex_adam_MIND",)),
    "greedy": Method(greedy, ("picsl_greedy",)),
    "SyN": Method(partial(ants_registration, kind="SyN"), ("ants",)),
    "SyN-our-affine": Method(
        partial(ants_registration, kind="SyNOnly", affine="affine"), ("ants",)
    ),
    "elastix": Method(partial(elastix, stages=("rigid", "affine", "bspline")), ("itk",)),
    "ants-rigid": Method(partial(ants_registration, kind="Rigid"), ("ants",)),
    "ants-affine": Method(partial(ants_registration, kind="Affine"), ("ants",)),
    "elastix-affine": Method(partial(elastix, stages=("rigid", "affine")), ("itk",)),
    "simpleitk-affine": Method(simple_itk_affine, ("SimpleITK",)),
}
DEFAULT = (
    "normal",
    "best",
    "mcbo",
    "multigradicon",
    "multigradicon-refined",
    "convexAdam",
    "greedy",
    "SyN",
    "elastix",
)
REFERENCE = "convexAdam"
"""The method that all pairs are compared with."""
ONE_CONTRAST_REFERENCE = "greedy"
"""The method that the pairs of one contrast are compared with as well."""
