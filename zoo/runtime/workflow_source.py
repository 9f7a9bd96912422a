"""The workflow that runs for a bundle: that of the package, or that of a trusted bundle."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.bundles import is_packaged
from zoo.hub.catalogue import find_model, load_catalogue
from zoo.hub.foreign_bundles import explain_refusal, read_bundle
from zoo.hub.setting_rules import check_settings, for_monai, plain_value


@dataclass(frozen=True)
class WorkflowSource:
    """The folder whose configs run, and the settings that replace those of its inference.

    `model` is None for a bundle that is more than data.
    """

    folder: Path
    model: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def checked(self, settings: Mapping[str, Any], *, training: bool) -> dict[str, Any]:
        """Return settings from outside, validated and prepared for MONAI's parser."""
        if self.model is not None:
            rules = find_model(self.model).setting_rules(training=training)
            prepared: dict[str, Any] = for_monai(
                check_settings(settings, rules, self.model, "the setting")
            )
            return prepared
        checked = {}
        for key, value in settings.items():
            try:
                checked[key] = for_monai(plain_value(value))
            except ValueError as error:
                raise UserError(f"the setting {key}: {error}") from None
        return checked


def workflow_source(folder: Path, *, trust: bool) -> WorkflowSource:
    """Return the workflow that runs for the bundle in `folder`.

    A bundle that is more than data is refused without `trust`. With it, stderr shows what the
    bundle is going to run.
    """
    if is_packaged(folder):
        return WorkflowSource(folder, folder.name if folder.name in load_catalogue() else None)
    content = read_bundle(folder)
    if content.data is not None:
        weights = {} if content.data.weights is None else {"weights": str(content.data.weights)}
        settings = for_monai({**content.data.settings, **weights})
        return WorkflowSource(find_model(content.data.model).folder, content.data.model, settings)
    if not trust:
        raise UserError(explain_refusal(folder, content))
    print(f"{folder} is more than data and runs because it is trusted:", file=sys.stderr)
    for line in content.program:
        print(f"  {line}", file=sys.stderr)
    return WorkflowSource(folder, None)
