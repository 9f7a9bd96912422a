"""Planning: fingerprint, alignment of sampled pairs, presets, rules, memory budget, plan."""

from zoo.planning.anatomy import parse_anatomy
from zoo.planning.beliefs import infer_anatomy
from zoo.planning.effort import parse_effort, with_effort
from zoo.planning.evidence import UserOptions
from zoo.planning.fingerprint import (
    Fingerprint,
    pair_fingerprint,
    read_fingerprint,
    take_fingerprint,
)
from zoo.planning.memory import parse_memory
from zoo.planning.plan import difference, explain, for_a_pair, make_plan, override, read_plan
from zoo.planning.presets import Preset, find_preset, load_presets
from zoo.planning.rules import check_options

__all__ = [
    "Fingerprint",
    "Preset",
    "UserOptions",
    "check_options",
    "difference",
    "explain",
    "find_preset",
    "for_a_pair",
    "infer_anatomy",
    "load_presets",
    "make_plan",
    "override",
    "pair_fingerprint",
    "parse_anatomy",
    "parse_effort",
    "parse_memory",
    "read_fingerprint",
    "read_plan",
    "take_fingerprint",
    "with_effort",
]
