"""Running bundles: workflows, settings, devices, threads, memory and signals."""

from zoo.runtime.bundle import open_bundle, run_bundle
from zoo.runtime.device import choose_device, use_threads
from zoo.runtime.memory import keep_freed_memory
from zoo.runtime.settings import parse_settings
from zoo.runtime.signals import Stopped, StopSignal

__all__ = [
    "StopSignal",
    "Stopped",
    "choose_device",
    "keep_freed_memory",
    "open_bundle",
    "parse_settings",
    "run_bundle",
    "use_threads",
]
