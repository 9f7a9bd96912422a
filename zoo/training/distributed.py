"""Training in several processes, one per device, started by torchrun.

torch.distributed is used directly. ignite.distributed takes rank and world size from the variables
of SLURM, and therefore refuses to start where one SLURM task per machine runs torchrun.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoo.errors import UserError

TIMEOUT = timedelta(hours=2)
"""How long a process waits for the others. The first process validates while the others wait."""


def join_processes() -> None:
    """Create the process group of the processes that torchrun started.

    The backend is NCCL between GPUs and gloo between CPUs.
    """
    if "LOCAL_RANK" not in os.environ:
        raise UserError(
            "multi_gpu_train.yaml trains in several processes: start it with torchrun "
            "--nproc_per_node=N -m monai.bundle run ..., or leave the file out to train in one"
        )
    if not dist.is_initialized():
        gpu = torch.cuda.is_available()
        dist.init_process_group("nccl" if gpu else "gloo", timeout=TIMEOUT)


def leave_processes() -> None:
    """Synchronise and destroy the process group.

    A process that ended before the others would close connections that they still use.
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def process_device() -> torch.device:
    """Return the device of this process: the GPU with its local rank, or the CPU without GPUs."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", 0))
    if index >= torch.cuda.device_count():
        raise UserError(
            f"there is no GPU for the process with local rank {index}: this machine has "
            f"{torch.cuda.device_count()} GPU(s); set --nproc_per_node of torchrun to that number"
        )
    torch.cuda.set_device(index)
    return torch.device("cuda", index)


def process_rank() -> int:
    """Return the rank of this process, 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def process_count() -> int:
    """Return the number of processes that train together, 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def data_parallel(module: nn.Module, unused_parameters: bool = False) -> nn.Module:
    """Wrap `module` so that its gradients are averaged over the processes.

    Without a process group `module` itself is returned. `unused_parameters` states that some
    parameters do not contribute to the loss.
    """
    if not dist.is_initialized():
        return module
    device = next(module.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        module, device_ids=ids, find_unused_parameters=unused_parameters
    )


def mean_over_processes(values: Tensor) -> Tensor:
    """Return the mean of `values` over the processes."""
    if dist.is_initialized():
        dist.all_reduce(values)
        values /= dist.get_world_size()
    return values
