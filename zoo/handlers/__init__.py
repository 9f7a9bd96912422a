"""Ignite handlers that bundle configs name: the writer of registrations and metrics of a run."""

from zoo.handlers.metrics import EvaluationWriter, MeanFigure
from zoo.handlers.provenance import peak_memory_mib, versions
from zoo.handlers.saver import RegistrationSaver, prepare_pair

__all__ = [
    "EvaluationWriter",
    "MeanFigure",
    "RegistrationSaver",
    "peak_memory_mib",
    "prepare_pair",
    "versions",
]
