"""A stand-in for a GPU, for tests on machines without one.

`simulated("cuda")` makes tensors that say they are on that device and compute on the CPU. As on a
real device, an operation on tensors of both devices fails, and so does a conversion to numpy.
`simulated("mps")` also refuses double precision, which Apple's GPUs lack. The simulation shows
nothing of speed, memory, or operations that a real device lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
TAKES_BOTH = {aten._to_copy, aten.copy_, aten.index, aten.index_put, aten.index_put_}
"""Operations that take tensors of two devices: copies, and indices on the CPU."""
DOUBLE = {torch.float64, torch.complex128}


class SimulatedTensor(Tensor):
    """A tensor that says it is on `device`; `values` holds its values on the CPU."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor, device: torch.device) -> SimulatedTensor:
        """Return a tensor of the shape, strides and type of `values`, without memory of its own."""
        return Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device="cpu"
        )

    def __init__(self, values: Tensor, device: torch.device) -> None:
        if device.type == "mps" and values.dtype in DOUBLE:
            raise TypeError("the MPS framework does not support float64")
        self.values = values
        self._device = device

    @property
    def device(self) -> torch.device:
        """The simulated device."""
        return self._device

    @property
    def is_cuda(self) -> bool:
        """Whether the simulated device is one of CUDA."""
        return self._device.type == "cuda"

    @property
    def is_cpu(self) -> bool:
        """Whether the tensor says it is on the CPU."""
        return False

    def __repr__(self) -> str:
        return f"{self._device}: {self.values!r}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute an operation of autograd, outside of the mode."""
        return _compute(func, args, kwargs or {})


class Operations(TorchDispatchMode):
    """Computes every operation, refuses to mix devices, and counts those on the simulated one."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = _compute(func, args, kwargs or {})
        self.count += isinstance(found, SimulatedTensor)
        return found


class _Calls(TorchFunctionMode):
    """Handles calls that name the device, before torch looks for it."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.simulated = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name in ("cuda", "cpu"):
            return self.moved(args[0], "cpu" if name == "cpu" else self.simulated)
        if name == "tolist":
            return _plain(args[0]).tolist()
        if name == "to":
            return self.converted(func, *args, **kwargs)
        if kwargs.get("device") is None:
            return func(*args, **kwargs)
        device = torch.device(kwargs["device"])
        plain_args, plain_kwargs = tree_map(_plain, (args, {**kwargs, "device": "cpu"}))
        return self.moved(func(*plain_args, **plain_kwargs), device)

    def converted(self, func: Any, tensor: Tensor, *targets: Any, **named: Any) -> Tensor:
        """Return what `Tensor.to` returns."""
        device, dtype = named.get("device"), named.get("dtype")
        for target in targets:
            if isinstance(target, Tensor):
                device, dtype = target.device, target.dtype
            elif isinstance(target, torch.dtype):
                dtype = target
            elif isinstance(target, str | torch.device):
                device = target
        leaves = device is not None and torch.device(device).type == "cpu"
        if leaves:  # before the conversion, as in one copy
            tensor = self.moved(tensor, "cpu")
        if dtype is not None and dtype != tensor.dtype:
            tensor = func(tensor, dtype)
        return tensor if device is None or leaves else self.moved(tensor, device)

    def moved(self, tensor: Tensor, device: str | torch.device) -> Tensor:
        """Return a tensor on a device; the same one if it is there."""
        there = torch.device(device).type != "cpu"
        if there == isinstance(tensor, SimulatedTensor):
            return tensor
        if there:
            return SimulatedTensor(tensor.detach().clone(), self.simulated)
        return _plain(tensor).detach().clone()


def _compute(func: Any, args: Any, kwargs: Any) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, SimulatedTensor)]
    here = [tensor for tensor in tensors if not isinstance(tensor, SimulatedTensor)]
    if there and any(t.dim() for t in here) and func.overloadpacket not in TAKES_BOTH:
        raise RuntimeError(
            f"{func}: expected all tensors to be on the same device, {there[0].device}"
        )
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    found = func(*plain_args, **plain_kwargs)
    if not there:
        return found
    if func.overloadpacket in TAKES_BOTH and not isinstance(args[0], SimulatedTensor):
        return found  # the result is where the first argument is
    known = {id(tensor.values): tensor for tensor in there}  # operations in place return these
    device = there[0].device

    def wrapped(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        known_one = known.get(id(leaf))
        return SimulatedTensor(leaf, device) if known_one is None else known_one

    return tree_map(wrapped, found)


def _plain(leaf: Any) -> Any:
    return leaf.values if isinstance(leaf, SimulatedTensor) else leaf


@contextmanager
def simulated(kind: str) -> Iterator[Operations]:
    """Simulate one device "cuda" or "mps" within the context, for the calling thread."""
    operations = Operations()
    device = torch.device(kind, 0)
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with (
            patch("torch.cuda.is_available", lambda: kind == "cuda"),
            patch("torch.cuda.device_count", lambda: int(kind == "cuda")),
            patch("torch.backends.mps.is_available", lambda: kind == "mps"),
            _Calls(device),
            operations,
        ):
            yield operations
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
