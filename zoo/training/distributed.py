"""Training in several processes, one a device, started by torchrun."""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoo.errors import UserError

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: longer than a validation by the first of them takes."""


def join() -> None:
    """Meet the other processes that torchrun started: NCCL between GPUs, gloo between CPUs."""
    if "LOCAL_RANK" not in os.environ:
        raise UserError(
            "multi_gpu_train is for several processes: start it with torchrun --nproc_per_node=N "
            "-m monai.bundle run ..., or leave it out to train in one"
        )
    if not dist.is_initialized():
        gpu = torch.cuda.is_available()
        dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)


def leave() -> None:
    """Part from the other processes, all at once: who stays behind would lose its connections."""
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def own_device() -> torch.device:
    """Return the device of this process: the GPU of its number on this machine, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", 0))
    if index >= torch.cuda.device_count():
        raise UserError(
            f"process {index} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def rank() -> int:
    """Return the number of this process among all, 0 for one alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def together(module: nn.Module, unused: bool = False) -> nn.Module:
    """Average the gradients of `module` over the processes; alone it is returned as it is.

    `unused` says that some parameters have no part in the loss.
    """
    if not dist.is_initialized():
        return module
    device = next(module.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        module, device_ids=ids, find_unused_parameters=unused
    )


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of `values` over the processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values
