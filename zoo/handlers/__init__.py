"""Ignite handlers that bundle configs name: saving registrations, metrics of a run."""

from zoo.handlers.metrics import EvaluationWriter, MeanFigure
from zoo.handlers.saver import RegistrationSaver, prepare_pair

__all__ = [
    "EvaluationWriter",
    "MeanFigure",
    "RegistrationSaver",
    "prepare_pair",
]
