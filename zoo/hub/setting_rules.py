"""Validation of settings from outside: plans, presets, arguments and foreign bundles.

MONAI evaluates strings in its configs. A value from outside is therefore passed to it only if the
value has the type and the range that the specification of the model states for the setting.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any, Literal, get_args

from zoo.errors import UserError, nearest
from zoo.hub.cache import expand_user

SettingType = Literal["boolean", "integer", "number", "text", "file", "list", "mapping"]

_MOST_ITEMS = 1000
_MOST_CHARACTERS = 4096
_EVALUATED = ("$", "@", "%")
_RELATIVE = re.compile("[@%](#|::)")
_NAMES: dict[str, str] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "text": "a text",
    "file": "a file name",
    "list": "a list",
    "mapping": "a mapping",
}


@dataclass(frozen=True)
class SettingRule:
    """The values that a setting may have.

    `minimum` and `maximum` bound numbers and are allowed themselves. `choices` are the only texts
    that are allowed; for a file they are allowed beside paths. With `nullable` null is allowed. A
    list has items that follow the rule `items`, and `length` of them if it is given. A mapping has
    only keys of `entries`. With `mixture` a mapping from texts to weights of at least 0 is allowed
    in place of one text. With `switch` true and false are allowed too.
    """

    type: SettingType
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None
    items: SettingRule | None = None
    entries: Mapping[str, SettingRule] = field(default_factory=dict)
    mixture: bool = False
    switch: bool = False

    def __post_init__(self) -> None:
        if self.type not in get_args(SettingType):
            raise ValueError(
                f"type {self.type!r} must be one of {', '.join(get_args(SettingType))}"
            )
        if (self.type == "list") != (self.items is not None):
            raise ValueError("a rule has the key items if and only if its type is list")

    def checked(self, value: Any) -> Any:
        """Return a value as plain data; `ValueError` states what is allowed if it does not fit."""
        if value is None and self.nullable:
            return None
        if self.mixture and isinstance(value, Mapping):
            weight = SettingRule("number", minimum=0)
            return {_plain_key(key): weight.checked(share) for key, share in value.items()}
        if self.switch and isinstance(value, bool):
            return value
        check = getattr(self, f"_checked_{self.type}")
        return check(value)

    def _refused(self, value: Any) -> ValueError:
        return ValueError(f"{_shown(value)} is not allowed; use {self.describe()}")

    def describe(self) -> str:
        """Return in words which values are allowed."""
        choices = ", ".join(self.choices)
        if self.choices:
            words = f"{choices} or a file name" if self.type == "file" else f"one of {choices}"
        elif self.type == "mapping":
            words = f"a mapping with keys among {', '.join(self.entries)}"
        elif self.items is not None:
            count = "" if self.length is None else f"{self.length} values, "
            words = f"a list ({count}each {self.items.describe()})"
        else:
            words = _NAMES[self.type]
        if self.minimum is not None and self.maximum is not None:
            words += f" from {self.minimum:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f" of at least {self.minimum:g}"
        if self.switch:
            words += ", or true or false"
        return f"{words}, or null" if self.nullable else words

    def _checked_boolean(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise self._refused(value)
        return value

    def _checked_integer(self, value: Any) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool) or not self._in_range(value):
            raise self._refused(value)
        return int(value)

    def _checked_number(self, value: Any) -> float:
        if not isinstance(value, Real) or isinstance(value, bool) or not self._in_range(value):
            raise self._refused(value)
        return int(value) if isinstance(value, Integral) else float(value)

    def _in_range(self, value: Any) -> bool:
        """Return whether a number is finite and in the range of the rule."""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        try:
            return math.isfinite(float(value)) and low <= value <= high
        except OverflowError:
            return False

    def _checked_text(self, value: Any) -> str:
        if not isinstance(value, str) or (self.choices and value not in self.choices):
            raise self._refused(value)
        return _plain_text(value)

    def _checked_file(self, value: Any) -> str:
        if not isinstance(value, (str, PathLike)) or not fspath(value):
            raise self._refused(value)
        path = str(value)
        if len(path) > _MOST_CHARACTERS or "\0" in path:
            raise self._refused(value)
        if path.lstrip().startswith(_EVALUATED):
            raise ValueError(f"{_shown(path)} begins with $, @ or %; write ./ before a file name")
        return path if path in self.choices else str(expand_user(path).absolute())

    def _checked_list(self, value: Any) -> list[Any]:
        if not isinstance(value, (list, tuple)) or len(value) > _MOST_ITEMS:
            raise self._refused(value)
        if self.length is not None and len(value) != self.length:
            raise self._refused(value)
        assert self.items is not None, "a rule for a list has items"
        return [self.items.checked(item) for item in value]

    def _checked_mapping(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self._refused(value)
        plain = {}
        for key, entry in value.items():
            if key not in self.entries:
                raise ValueError(f"there is no {_shown(key)}{nearest(key, self.entries)}")
            try:
                plain[key] = self.entries[key].checked(entry)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
        return plain


COMMON_RULES: Mapping[str, SettingRule] = MappingProxyType(
    {
        "affine": SettingRule("file", choices=("auto", "none", "com", "rigid", "affine")),
        "allow_mirror": SettingRule("boolean"),
        "inverse": SettingRule("boolean"),
        "format": SettingRule("text", choices=("nifti", "h5", "both")),
        "learn2reg": SettingRule("boolean"),
        "report": SettingRule("text", choices=("full", "light", "none"), switch=True),
        "bar": SettingRule("text", choices=("lines",), switch=True),
    }
)
"""The rules of the settings that every model has."""


def check_settings(
    settings: Mapping[str, Any], rules: Mapping[str, SettingRule], model: str, where: str
) -> dict[str, Any]:
    """Return settings as plain data, or raise `UserError` for the first one that is refused.

    `rules` are those of `model`. An error message begins with `where` and the key, such as
    "--set refine".
    """
    checked = {}
    for key, value in settings.items():
        if key not in rules:
            raise UserError(
                f"{where} {shown_key(key)}: {model} has no such setting{nearest(key, rules)}"
            )
        try:
            checked[key] = rules[key].checked(value)
        except ValueError as error:
            raise UserError(f"{where} {key}: {error}") from None
    return checked


def plain_value(value: Any, depth: int = 0) -> Any:
    """Return a value without a rule as plain data that MONAI does not evaluate.

    Texts that MONAI would evaluate and keys that it would read as a command are refused with
    `ValueError`, at every depth.
    """
    if depth > 10:
        raise ValueError("the value is nested more than ten levels deep")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_plain_key(key): plain_value(item, depth + 1) for key, item in value.items()}
    raise ValueError(f"{_shown(value)} is not plain data (null, number, text, list or mapping)")


def for_monai(value: Any) -> Any:
    """Return a checked value such that MONAI's parser yields exactly this value.

    MONAI replaces # and references in every string. A text that would be changed becomes an
    expression that consists of one literal, in which all special characters are escaped.
    """
    if isinstance(value, dict):
        return {key: for_monai(item) for key, item in value.items()}
    if isinstance(value, list):
        return [for_monai(item) for item in value]
    if isinstance(value, str) and re.search(r"^[$@%]|#|[@%]::", value):
        return "$'" + "".join(map(_escaped, value)) + "'"
    return value


def inert(value: Any) -> Any:
    """Return plain data whose texts MONAI does not evaluate: leading $, @ and % are removed."""
    if isinstance(value, Mapping):
        return {key: inert(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [inert(item) for item in value]
    return re.sub(r"^[\s$@%]+|[@%](?=#|::)", "", value) if isinstance(value, str) else value


def shown_key(key: Any) -> str:
    """Return a key for an error message: as it is, or quoted if it is long or not printable."""
    return key if isinstance(key, str) and key.isprintable() and len(key) <= 80 else _shown(key)


def _escaped(character: str) -> str:
    harmless = character.isascii() and (character.isalnum() or character in "/._- ")
    return character if harmless else f"\\U{ord(character):08x}"


def _plain_text(value: Any) -> str:
    """Return a text that MONAI takes as it is."""
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a text")
    if value.lstrip().startswith(_EVALUATED):
        raise ValueError(
            f"{_shown(value)} is not allowed; it begins with $, @ or %, which MONAI would evaluate"
        )
    if _RELATIVE.search(value):
        raise ValueError(f"{_shown(value)} is not allowed; it contains a reference of MONAI")
    return value


def _plain_key(key: Any) -> str:
    text = _plain_text(key)
    if re.match(r"\s*[_+~]", text) or re.search("::|#", text):
        raise ValueError(
            f"the key {_shown(key)} is not allowed; it begins with _, + or ~, or contains :: or #, "
            "which MONAI would read as a command"
        )
    return text


def _shown(value: Any) -> str:
    """Return a value for an error message, shortened to 80 characters."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # for example an integer with too many digits
        text = f"this {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."
