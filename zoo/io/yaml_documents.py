"""Parsing of untrusted YAML: plain values only, without aliases, and of limited size and depth."""

from __future__ import annotations

from typing import Any

from zoo.errors import UserError
from zoo.io.files import AnyPath, existing_file
from zoo.io.limits import MAX_DEPTH, MAX_YAML_BYTES, check_file_size, check_plain_value


def parse_yaml(text: str) -> Any:
    """Return the value of a YAML text; ValueError, on one line, says why it is refused.

    Aliases are refused, because a few hundred bytes of them can stand for gigabytes. Duplicate keys
    and tags of Python objects are refused as well.
    """
    import yaml

    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_YAML_BYTES:
        raise ValueError(f"it has {size} bytes; at most {MAX_YAML_BYTES} are allowed")
    try:
        _check_events(text)
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except (LookupError, TypeError, OverflowError, AttributeError, RecursionError) as error:
        raise ValueError(f"one of its values cannot be read: {error}") from error
    check_plain_value(value)
    return value


def read_yaml_mapping(path: AnyPath) -> dict[Any, Any]:
    """Read a YAML file that contains a mapping."""
    file = existing_file(path)
    check_file_size(file, MAX_YAML_BYTES, "leave out what is not needed")
    try:
        value = parse_yaml(file.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{file} is not valid YAML ({error}); correct it") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} contains a {type(value).__name__}; write keys with values")
    return value


def _check_events(text: str) -> None:
    """Refuse aliases, deep nesting and duplicate keys before any value is constructed."""
    import yaml

    # For each open list or mapping: the keys so far, and whether a key comes next. None: a list.
    containers: list[tuple[set[str], bool] | None] = []
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"the alias *{event.anchor} is not allowed: write the value again")
        if isinstance(event, yaml.CollectionEndEvent):
            containers.pop()
            continue
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            continue
        if containers and (mapping := containers[-1]) is not None:
            keys, key_next = mapping
            if key_next:
                _add_key(keys, event)
            containers[-1] = (keys, not key_next)
        if isinstance(event, yaml.CollectionStartEvent):
            if len(containers) >= MAX_DEPTH:
                raise ValueError(f"it is nested too deeply: at most {MAX_DEPTH} levels are allowed")
            containers.append((set(), True) if isinstance(event, yaml.MappingStartEvent) else None)


def _add_key(keys: set[str], event: Any) -> None:
    """Add the key of a mapping to `keys`; it must be a scalar that is not among them yet."""
    key = getattr(event, "value", None)
    if key is None:
        raise ValueError("a key must be text, not a list or a mapping")
    if key in keys:
        raise ValueError(f"the key {key[:60]!r} occurs twice: keep one")
    keys.add(key)
