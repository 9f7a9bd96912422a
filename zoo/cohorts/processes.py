"""The place of this process among the processes of a run, its device and its CPU threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from zoo.errors import UserError
from zoo.resources import available_cores
from zoo.runtime.device import choose_device


@dataclass(frozen=True)
class ProcessRank:
    """The number of this process and how many processes share the run."""

    rank: int = 0
    world_size: int = 1


def rank_from_environment() -> ProcessRank | None:
    """Return the rank that torchrun sets in the environment; None without torchrun."""
    values = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE")]
    if not all(values):
        return None
    try:
        rank, world_size = (int(str(value)) for value in values)
    except ValueError:
        rank, world_size = -1, 0
    if not 0 <= rank < world_size:
        raise UserError(
            f"RANK={values[0]} and WORLD_SIZE={values[1]} in the environment must be whole numbers "
            "with 0 <= RANK < WORLD_SIZE; unset both to run in one process"
        )
    return ProcessRank(rank, world_size)


def local_rank() -> int:
    """Return the number of this process among those on its machine."""
    return _whole_number("LOCAL_RANK", 0)


def local_world_size() -> int:
    """Return the number of processes that torchrun started on this machine."""
    return max(1, _whole_number("LOCAL_WORLD_SIZE", 1))


def _whole_number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


def device_of(name: str | None, process: int) -> str:
    """Return the device `name`; by default process k uses CUDA device k in turn, or the CPU."""
    if name is None and torch.cuda.is_available():
        return f"cuda:{process % torch.cuda.device_count()}"
    return str(choose_device(name))


def threads_per_process(requested: int | None, processes: int) -> int | None:
    """Return the number of CPU threads for each of several processes of this machine.

    This is the requested number, else None if OMP_NUM_THREADS is set, else an equal share of the
    processors that this process may use.
    """
    if requested is not None or os.environ.get("OMP_NUM_THREADS"):
        return requested
    return max(1, available_cores() // processes)
