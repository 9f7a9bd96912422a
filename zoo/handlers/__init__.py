"""Ignite handlers that bundle configs name: the writer of registrations and metrics of a run.

The metrics are imported on first use, because ignite loads much more than its engine.
"""

from typing import TYPE_CHECKING, Any

from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.handlers.saver import RegistrationSaver, prepare_pair

if TYPE_CHECKING:
    from zoo.handlers.metrics import EvaluationWriter, MeanFigure

__all__ = [
    "EvaluationWriter",
    "MeanFigure",
    "RegistrationSaver",
    "peak_memory_mib",
    "prepare_pair",
    "versions",
]


def __getattr__(name: str) -> Any:
    """Import the metrics on first use."""
    if name not in ("EvaluationWriter", "MeanFigure"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from zoo.handlers import metrics

    return getattr(metrics, name)
