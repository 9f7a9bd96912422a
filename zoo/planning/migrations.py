"""Read plans that earlier versions wrote: one function for each step between schema versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Plan = dict[str, Any]
SCHEMA = 2
"""The schema of the plans that this version writes."""


def pairs_component(content: str) -> Plan:
    """Return the component of a plan that lists a dataset's pairs.

    `content` is the digest of the dataset; a run on changed data stops.
    """
    return {
        "_target_": "zoo.datasets.DatasetPairs",
        "folder": "@dataset_dir",
        "split": "@split",
        "content": content,
    }


def migrate(plan: Plan) -> Plan:
    """Return a plan in the present schema; a plan of an unknown schema is returned unchanged."""
    section = plan.get("plan")
    while isinstance(section, dict) and (step := _step_from(section.get("schema"))):
        plan = step(plan)
        section = plan["plan"]
    return plan


def _step_from(schema: Any) -> Callable[[Plan], Plan] | None:
    """Return the step from a schema version to the next one; None if there is none."""
    return _STEPS.get(schema) if isinstance(schema, int) else None


def _from_schema_1(plan: Plan) -> Plan:
    """Name the pairs of the dataset by their public name instead of the module inside."""
    section = plan["plan"] | {"schema": 2}
    former = pairs_component(str(section.get("content"))) | {
        "_target_": "zoo.workflow.pairs.DatasetPairs"
    }
    renamed = {"pairs": former | {"_target_": "zoo.datasets.DatasetPairs"}}
    return plan | (renamed if plan.get("pairs") == former else {}) | {"plan": section}


_STEPS: Mapping[Any, Callable[[Plan], Plan]] = {1: _from_schema_1}
