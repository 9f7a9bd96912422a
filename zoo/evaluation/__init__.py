"""Evaluation of registrations: metrics, Learn2Reg figures, quality warnings, comparison."""

from zoo.evaluation.comparison import compare_runs, read_run
from zoo.evaluation.metrics import Measured, measure
from zoo.evaluation.quality import quality_warnings

__all__ = [
    "Measured",
    "compare_runs",
    "measure",
    "quality_warnings",
    "read_run",
]
