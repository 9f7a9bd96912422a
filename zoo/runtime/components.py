"""The components of a packaged inference config, built without MONAI.

Importing MONAI takes twice as long as importing torch, and more memory than a small registration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

_REFERENCE = re.compile(r"@(\w+)")


class Components:
    """The values of a config by name; a component is built when it is first needed.

    This covers the syntax that the packaged inference configs use for the components of a
    registration: the reference `@name`, the expression `$...`, and `_target_`, the name of a class
    or function, with its arguments. The results are those of MONAI's parser. Like MONAI's parser,
    it evaluates expressions, so that every text from outside has to pass through
    `zoo.hub.setting_rules.for_monai`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._built: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._config

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = self._resolved(self._config[name])
        return self._built[name]

    def _resolved(self, value: Any) -> Any:
        """Return a value of the config with its references, expressions and components resolved."""
        if isinstance(value, dict):
            values = {key: self._resolved(item) for key, item in value.items()}
            target = values.pop("_target_", None)
            return values if target is None else _named(target)(**values)
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if isinstance(value, str) and value.startswith("@"):
            return self[value[1:]]
        if isinstance(value, str) and value.startswith("$"):
            return self._evaluated(value[1:])
        return value

    def _evaluated(self, expression: str) -> Any:
        """Return the value of an expression, whose references are entries of a table."""
        values = {name: self[name] for name in _REFERENCE.findall(expression)}
        code = _REFERENCE.sub(r"__local_refs['\1']", expression)
        return eval(code, {"torch": torch, "__local_refs": values})


def _named(target: str) -> Any:
    """Return the class or function that a config names, such as zoo.networks.GradICON."""
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)
