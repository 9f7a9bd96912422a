"""Which device computes, and with how many threads."""

import os

import torch

from zoo.errors import UserError
from zoo.runtime.memory import keep_freed_memory


def choose_device(name: str | None = None) -> torch.device:
    """Return the device called `name`, or the first GPU, or the CPU."""
    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r} is not known; use cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch finds no CUDA device here; use --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UserError(f"--device {name}: there are {count}, cuda:0 to cuda:{count - 1}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"--device {name}: torch finds no Apple GPU here; use --device cpu")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"--device {name!r} is not supported; use cpu, cuda, cuda:N or mps")
    return device


def use_threads(count: int | None) -> None:
    """Let torch use `count` CPU threads; None leaves it as it is.

    Also keeps freed memory and asks for large pages: most small operations on large volumes cost
    what their fresh memory costs (docs/experiments/gradicon-speed.md, docs/experiments/unireg.md).
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    keep_freed_memory()
    if count is None:
        return
    if count < 1:
        raise UserError(f"--threads {count} must be 1 or more; this machine has {os.cpu_count()}")
    torch.set_num_threads(count)
