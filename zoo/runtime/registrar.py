"""A model with its weights, ready to register pairs and to save the results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.datasets.pairs import Pair
from zoo.registration.pair import register_pair
from zoo.registration.result import RegisteredPair
from zoo.runtime.bundle import load_selected_weights, merge_settings, open_workflow, quiet
from zoo.runtime.components import Components

if TYPE_CHECKING:
    from zoo.handlers.saver import RegistrationSaver
    from zoo.registration.inferer import PairInferer


@dataclass(frozen=True)
class Registrar:
    """`register` registers one pair; `saver` writes its results."""

    register: Callable[[Pair], RegisteredPair]
    saver: RegistrationSaver


@contextmanager
def open_registrar(
    folder: Path,
    overrides: Mapping[str, Any],
    plan: Path | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Iterator[Registrar]:
    """Yield the registrar of a bundle, with the weights loaded.

    The bundle and its settings are those of `zoo.runtime.bundle.open_bundle` with the config
    inference.json and the absolute path of a `plan`. For a model of the zoo the components are
    built without MONAI, with results that are bit-identical to those of `monai.bundle run`. For a
    trusted bundle MONAI runs its workflow.
    """
    configs: list[str | Path] = ["inference.json", *([] if plan is None else [plan])]
    merged = merge_settings(folder, overrides, configs, settings=settings, trust=trust)
    if merged.source.model is None:
        with open_workflow(merged) as workflow:
            load_selected_weights(workflow)
            saver = workflow.parser.get_parsed_content("saver")
            yield Registrar(partial(register_pair, workflow.evaluator), saver)
        return
    config = json.loads(merged.configs[0].read_text(encoding="utf-8"))
    with quiet():
        components = Components(config | merged.values)
        network, inferer = components["network_def"], components["inferer"]
        if "selected_weights" in components:
            components["selected_weights"].load_into(network)
        network.to(inferer.device).eval()
        yield Registrar(partial(_register, inferer, network), components["saver"])


def _register(inferer: PairInferer, network: nn.Module, pair: Pair) -> RegisteredPair:
    """Register a pair without gradients, as MONAI's evaluator does."""
    with torch.no_grad():
        return inferer(pair, network)
