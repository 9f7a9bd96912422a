from types import SimpleNamespace

import pytest
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from torch import device, nn

from zoo.handlers.saver import prepare_pair
from zoo.registration.pair import register_pair


class ByName(Inferer):
    """An inferer whose result is a text with the name of the pair."""

    def __call__(self, inputs, network):
        return f"registered {inputs.name}"


def evaluator():
    """An evaluator without pairs, as a cohort opens it."""
    return SupervisedEvaluator(
        device=device("cpu"),
        val_data_loader=[],
        network=nn.Identity(),
        inferer=ByName(),
        prepare_batch=prepare_pair,
        decollate=False,
    )


def test_pairs_are_registered_one_after_the_other_with_the_handlers():
    engine, outputs = evaluator(), []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: outputs.append(e.state.output["pred"])
    )
    for name in ("a", "b"):
        assert register_pair(engine, SimpleNamespace(name=name)) == f"registered {name}"
    assert outputs == ["registered a", "registered b"]


def test_the_evaluator_keeps_neither_the_pair_nor_the_result():
    engine = evaluator()
    register_pair(engine, SimpleNamespace(name="a"))
    assert (engine.data_loader, engine.state.output, engine.state.batch) == ([], None, None)


def test_after_an_error_the_next_pair_is_registered():
    engine = evaluator()
    with pytest.raises(AttributeError):
        register_pair(engine, SimpleNamespace())
    assert engine.data_loader == []
    assert register_pair(engine, SimpleNamespace(name="b")) == "registered b"
