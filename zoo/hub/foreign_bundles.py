"""Bundles that did not come with the package, read as data.

Such a bundle may contain three things that are used: the name of its model, plain values of that
model's settings, and weights as safetensors. The workflow that runs is the package's own. Nothing
else in the folder is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import UserError, nearest
from zoo.hub.bundles import is_packaged
from zoo.hub.catalogue import load_catalogue
from zoo.hub.setting_rules import SettingRule, shown_key
from zoo.hub.specs import ModelSpec
from zoo.hub.weights_header import read_weights_header
from zoo.io.json_documents import read_json_object

OWN_WEIGHTS = "$@bundle_root + '/models/model.safetensors'"
"""The setting `weights` of a fine-tuned bundle, for `monai.bundle run`."""
_MOST_LISTED = 100
_DEEPEST = 50


@dataclass(frozen=True)
class BundleData:
    """What is used of a foreign bundle.

    `settings` are validated values that replace the model's own. `weights` is a safetensors file,
    or None for a bundle without weights. `trained_on` is the preset of the pairs that the bundle
    was trained on, or None if its metadata state none.
    """

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    trained_on: str | None = None


@dataclass(frozen=True)
class BundleContent:
    """The content of a bundle's folder as far as regzoo reads it.

    `data` is None if the bundle is more than data. `reasons` then says why, and `program` lists the
    components, expressions and macros that its inference.json would run.
    """

    data: BundleData | None
    reasons: tuple[str, ...] = ()
    program: tuple[str, ...] = ()


def read_bundle(folder: Path) -> BundleContent:
    """Read a bundle without evaluating anything in it."""
    if not folder.is_dir():
        raise UserError(f"there is no bundle folder {folder}")
    if is_packaged(folder) and folder.name in load_catalogue():
        return BundleContent(BundleData(folder.name))
    config = read_json_object(folder / "configs" / "inference.json")
    path = folder / "configs" / "metadata.json"
    metadata = read_json_object(path) if path.is_file() else {}
    program = _program({**config, "metadata": metadata})
    try:
        model = _model_named_in(metadata)
    except ValueError as error:
        return BundleContent(None, (f"configs/metadata.json {error}",), program)
    spec = load_catalogue()[model]
    settings, reasons = _settings(config, spec)
    if reasons:
        return BundleContent(None, tuple(reasons), program)
    weights = _weights(folder, spec)
    if weights is None and config.get("weights") == OWN_WEIGHTS:
        raise UserError(f"{folder} lacks its weights, models/model.safetensors; copy them there")
    return BundleContent(BundleData(model, settings, weights, _trained_on(metadata)))


def explain_refusal(folder: Path, content: BundleContent) -> str:
    """Return the message for a bundle that is more than data and is not trusted."""
    return (
        f"the bundle {folder} is more than data, so it is not run: {content.reasons[0]}; see "
        f"everything that it would run with `regzoo check-bundle {folder}`, and add --trust if you "
        "know its author"
    )


def _model_named_in(metadata: Mapping[str, Any]) -> str:
    """Return the model that metadata.json names; `ValueError` if it names none of the package."""
    sections = (metadata.get("regzoo"), metadata.get("trained"))
    names = [s["model"] for s in sections if isinstance(s, dict) and "model" in s]
    if not names:
        raise ValueError("does not name a model of regzoo (key regzoo, with a key model)")
    name = names[0]
    models = load_catalogue()
    if not isinstance(name, str) or name not in models:
        raise ValueError(f"names the model {name!r:.80}, which is none of {', '.join(models)}")
    if any(other != name for other in names):
        raise ValueError("names two different models")
    return name


def _trained_on(metadata: Mapping[str, Any]) -> str | None:
    """Return the preset of the plan that a bundle was trained with, as its metadata state it."""
    section: Any = metadata
    for key in ("trained", "data", "plan"):
        section = section.get(key) if isinstance(section, dict) else None
    preset = section.get("preset") if isinstance(section, dict) else None
    known = {key for spec in load_catalogue().values() for key in spec.planning.pairs}
    return preset if isinstance(preset, str) and preset in known else None


def _settings(config: Mapping[str, Any], spec: ModelSpec) -> tuple[dict[str, Any], list[str]]:
    """Return the validated settings of a config, and why it is more than data.

    Keys whose value is that of the packaged config are ignored.
    """
    packaged = read_json_object(spec.folder / "configs" / "inference.json")
    rules = spec.setting_rules()
    settings, reasons = {}, []
    for key, value in config.items():
        if (key in packaged and value == packaged[key]) or (key, value) == ("weights", OWN_WEIGHTS):
            continue
        place = f"configs/inference.json: {shown_key(key)}"
        if key not in rules:
            problem = f"is neither a setting of {spec.name} nor as in its own config"
            reasons.append(f"{place} {problem}{nearest(key, rules)}")
            continue
        try:
            settings[key] = _portable(rules[key], value)
        except ValueError as error:
            reasons.append(f"{place}: {error}")
    return settings, reasons


def _portable(rule: SettingRule, value: Any) -> Any:
    """Return a checked value; a file on the computer of the author is refused."""
    if rule.type == "file" and value is not None and value not in rule.choices:
        raise ValueError("a bundle from elsewhere must not name files of this computer")
    return rule.checked(value)


def _weights(folder: Path, spec: ModelSpec) -> Path | None:
    """Return the weights file of a bundle, its header checked; None if it has none."""
    files = (folder / variant.file for variant in spec.variants.values())
    path = next((file.absolute() for file in files if file.is_file()), None)
    if path is not None:
        read_weights_header(path)
    return path


def _program(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the components, expressions and macros of a config, with their places."""
    lines: list[str] = []
    for place, text in _evaluated(config, ()):
        if len(lines) == _MOST_LISTED:
            lines.append("and more")
            break
        lines.append(f"{shown_key('::'.join(place))}: {text[:200]!r}")
    return tuple(lines)


def _evaluated(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts that MONAI would evaluate or import, each with its place."""
    if len(place) > _DEEPEST:
        yield place, "nested too deeply to be listed"
    elif isinstance(value, dict):
        for key, item in value.items():
            if str(key).endswith("_target_"):
                yield (*place, str(key)), str(item)
            else:
                yield from _evaluated(item, (*place, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _evaluated(item, (*place, str(index)))
    elif isinstance(value, str) and value.lstrip().startswith(("$", "%")):
        yield place, value
