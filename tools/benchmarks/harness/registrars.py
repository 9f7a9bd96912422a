"""A model that is opened once and registers the pairs of a benchmark in this process."""

from __future__ import annotations

from contextlib import AbstractContextManager

from zoo.hub.bundles import bundle_folder
from zoo.runtime.registrar import Registrar, open_registrar


def mcbo_registrar(**settings: object) -> AbstractContextManager[Registrar]:
    """Return MCBO on the CPU with its defaults and these settings; nothing is written or shown."""
    bundle = bundle_folder("mcbo")
    overrides = {
        "pairs": [],
        "handlers": [],
        "bar": False,
        "bundle_root": str(bundle.absolute()),
        "device": "$torch.device('cpu')",
    }
    return open_registrar(bundle, overrides, settings=settings)
