"""The device and the number of CPU threads that torch uses."""

import os

import torch

from zoo.errors import UserError
from zoo.runtime.memory import keep_freed_memory


def choose_device(name: str | None = None) -> torch.device:
    """Return the device `name`; by default the first CUDA device, else the CPU."""
    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r} is not known; use cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"--device {name}: torch finds no CUDA device on this machine; use --device cpu"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(
            f"--device {name}: this machine has {count} CUDA devices, cuda:0 to cuda:{count - 1}"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            f"--device {name}: torch finds no Apple GPU on this machine; use --device cpu"
        )
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"--device {name!r} is not supported; use cpu, cuda, cuda:N or mps")
    return device


def use_threads(count: int | None) -> None:
    """Set the number of CPU threads of torch; None keeps the present number.

    Also keep freed memory and request large pages, because page faults dominate the time of small
    operations on large volumes.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    keep_freed_memory()
    if count is None:
        return
    if count < 1:
        raise UserError(
            f"--threads {count} must be 1 or more; this machine has {os.cpu_count()} processors"
        )
    torch.set_num_threads(count)
