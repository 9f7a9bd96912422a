"""The Python API: one function for each use case, with the options of the command.

The functions call the same pipelines as the commands, print nothing, and raise `zoo.UserError` for
whatever the caller can correct.
"""

from zoo.api.functions import propagate, register, run, template
from zoo.api.registration import Registration
from zoo.pipelines.compare import compare
from zoo.pipelines.evaluate import evaluate
from zoo.pipelines.finetune import finetune
from zoo.pipelines.plan import plan

__all__ = [
    "Registration",
    "compare",
    "evaluate",
    "finetune",
    "plan",
    "propagate",
    "register",
    "run",
    "template",
]
