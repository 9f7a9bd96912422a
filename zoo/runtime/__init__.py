"""Running bundles: workflows, settings, devices, threads, memory and signals.

The names of the package are imported on first use, so that `zoo.runtime.settings` and its like do
not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.runtime.bundle import open_bundle, run_bundle
    from zoo.runtime.device import choose_device, use_threads
    from zoo.runtime.memory import keep_freed_memory
    from zoo.runtime.registrar import Registrar, open_registrar
    from zoo.runtime.settings import parse_settings
    from zoo.runtime.signals import Stopped, StopSignal

__all__ = [
    "Registrar",
    "StopSignal",
    "Stopped",
    "choose_device",
    "keep_freed_memory",
    "open_bundle",
    "open_registrar",
    "parse_settings",
    "run_bundle",
    "use_threads",
]

_DEFINED_IN = {
    "Registrar": "registrar",
    "StopSignal": "signals",
    "Stopped": "signals",
    "choose_device": "device",
    "keep_freed_memory": "memory",
    "open_bundle": "bundle",
    "open_registrar": "registrar",
    "parse_settings": "settings",
    "run_bundle": "bundle",
    "use_threads": "device",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_DEFINED_IN[name]}"), name)
