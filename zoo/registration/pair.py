"""Registration of one pair with the evaluator of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.datasets.pairs import Pair
from zoo.registration.result import RegisteredPair

if TYPE_CHECKING:
    from ignite.engine import Engine


def register_pair(evaluator: Engine, pair: Pair) -> RegisteredPair:
    """Register `pair` with the evaluator of an initialised bundle workflow.

    The evaluator runs one iteration over this pair, with its handlers. Afterwards it references
    neither the pair nor the result, so that their memory can be freed.
    """
    evaluator.data_loader = [pair]  # type: ignore[attr-defined]
    evaluator.state.epoch_length = 1
    # With ignite's default, the run that follows a failed one ends at once without an output.
    evaluator.interrupt_resume_enabled = False
    try:
        evaluator.run()
        result: RegisteredPair = evaluator.state.output["pred"]  # type: ignore[index]
        return result
    finally:
        evaluator.data_loader = []  # type: ignore[attr-defined]
        evaluator.state.output = evaluator.state.batch = None
