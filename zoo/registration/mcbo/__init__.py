"""MCBO as an inferer: its search and refinement, preset files, and candidates to choose from."""

from zoo.registration.mcbo.inferer import MCBOInferer, mcbo_frame, refined, search_limit
from zoo.registration.mcbo.presets import (
    read_preset,
    settings_of,
    solver_changes,
    solver_mode,
    write_preset,
)

__all__ = [
    "MCBOInferer",
    "mcbo_frame",
    "read_preset",
    "refined",
    "search_limit",
    "settings_of",
    "solver_changes",
    "solver_mode",
    "write_preset",
]
