"""The static check of a bundle that did not come with the package, before anything of it runs.

MONAI builds whatever a config's `_target_` names and evaluates every `$` string. This check reads
the configs as data and holds every component, expression, macro and file of the bundle against
lists of what is known to be harmless (zoo/hub/allowed.py). It is a filter, not a sandbox: a bundle
that passes can still be wrong or slow, but it can name nothing that the lists do not.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import UserError
from zoo.hub.allowed import NAMED_CLASSES, is_importing, why_refused
from zoo.hub.bundles import is_packaged
from zoo.hub.expressions import (
    DEFAULT_ALIASES,
    IMPORT_KEYS,
    check_expression,
    check_import,
    check_references,
    parse_import,
)
from zoo.hub.weights_header import read_weights_header

_CONFIGS = {".json", ".yaml", ".yml"}
_HARMLESS = {".md", ".txt", ".png", ".jpg", ".svg", ".csv", ".nii", ".mha", ".nrrd"}
_HARMLESS_NAMES = {"LICENSE", "NOTICE", ".gitattributes", ".gitignore", ".DS_Store"}
# Where a bundle writes unless told otherwise; nothing reads it.
_OUTPUTS = "eval/"
_PICKLES = {".pt", ".pth", ".trch", ".ckpt", ".pkl", ".pickle", ".ts", ".npy", ".npz", ".bin"}
# TensorBoard's logs of a training, which nothing here reads.
_CURVES = "events.out.tfevents."
# What the Hub's client leaves in a folder that it downloads to.
_CLIENT_FOLDER = ".cache/huggingface/"
_CLIENT_FILES = {".metadata", ".lock", ".TAG"}
_LOG_HANDLERS = {"StreamHandler", "logging.StreamHandler", "NullHandler", "logging.NullHandler"}
_LOG_ARGUMENTS = {"sys.stdout", "sys.stderr"}
_SEPARATOR = re.compile("::|#")


@dataclass(frozen=True)
class Finding:
    """One thing that is not allowed: the file, where in it, and what."""

    file: str
    where: str
    problem: str

    def __str__(self) -> str:
        place = f"{self.file}: {self.where}" if self.where else self.file
        return f"{place}: {self.problem}"


def require_safe(bundle: Path, trust: bool = False) -> None:
    """Refuse a bundle that fails the check, unless it came with the package or is trusted."""
    if trust or is_packaged(bundle):
        return
    findings = check_bundle(bundle)
    if findings:
        raise UserError(
            f"{bundle} is not run, because of {len(findings)} thing(s) in it that could do harm: "
            f"{findings[0]}; see them all with `regzoo check-bundle {bundle}`, or run it with "
            "--trust if you know its author"
        )


def check_bundle(bundle: Path) -> list[Finding]:
    """Everything in a bundle's folder that is not known to be harmless; empty when it may run."""
    if not bundle.is_dir():
        raise UserError(f"there is no bundle folder {bundle}")
    findings: list[Finding] = []
    configs: dict[str, Any] = {}
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_symlink() and bundle.resolve() not in path.resolve().parents:
            findings.append(Finding(name, "", "a link that leads out of the bundle"))
        elif path.is_file():
            findings += _check_file(path, name, configs)
    if not configs:
        findings.append(Finding("configs", "", "no config; this is not a bundle"))
    aliases = _aliases(configs)
    for name, content in configs.items():
        try:
            findings += _walk(_Place(name, frozenset(configs), aliases), (), content)
        except RecursionError:
            findings.append(Finding(name, "", "nested too deeply, or in itself"))
    return findings


def _check_file(path: Path, name: str, configs: dict[str, Any]) -> Iterator[Finding]:
    """Judge one file; what it finds to be a config is parsed and added to `configs`."""
    kind = path.suffix.lower()
    try:
        if name.startswith(_CLIENT_FOLDER) and path.suffix in _CLIENT_FILES:
            return
        if kind in _CONFIGS and not name.startswith(_OUTPUTS):
            from monai.bundle import ConfigParser

            configs[name] = ConfigParser.load_config_file(path)
        elif kind == ".conf":
            yield from (Finding(name, "", problem) for problem in _logging_problems(path))
        elif kind == ".safetensors":
            read_weights_header(path)
        elif kind in _PICKLES:
            yield Finding(
                name, "", "may be a pickle; weights are safetensors (convert: tools/convert.py)"
            )
        elif path.name.startswith(_CURVES) or name.startswith(_OUTPUTS):
            return
        elif (
            not path.name.endswith(".nii.gz")
            and kind not in _HARMLESS
            and path.name not in _HARMLESS_NAMES
        ):
            yield Finding(name, "", "code, or a kind of file that a bundle has no use for")
    except UserError as error:
        yield Finding(name, "", str(error))
    except Exception as error:  # whatever a parser makes of a hostile file
        yield Finding(name, "", f"cannot be read: {type(error).__name__}")


@dataclass(frozen=True)
class _Place:
    """What the walk through one config file knows."""

    file: str
    configs: frozenset[str]
    aliases: Mapping[str, str]

    def finding(self, path: tuple[str, ...], problem: str) -> Finding:
        return Finding(self.file, "::".join(path), problem)


def _walk(place: _Place, path: tuple[str, ...], value: Any) -> Iterator[Finding]:
    """Check a value of a config and all that is in it. Keys may be paths and begin with `+`."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _walk(place, (*path, str(i)), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            steps = tuple(step.lstrip("+") for step in _SEPARATOR.split(str(key)))
            problem = _special_key(steps, item, value)
            if problem:
                yield place.finding((*path, *steps), problem)
            if steps[-1] != "_target_":
                yield from _walk(place, (*path, *steps), item)
    elif isinstance(value, str):
        problem = _check_text(place, path, value)
        if problem:
            yield place.finding(path, f"{problem} in {value[:100]!r}")


def _special_key(steps: tuple[str, ...], value: Any, siblings: Mapping[str, Any]) -> str | None:
    """Judge the keys that make or steer a component."""
    key = steps[-1]
    if key == "_target_":
        if not isinstance(value, str):
            return f"_target_ is {value!r}, not a name"
        names = _full_names(value)
        if problem := next(filter(None, map(why_refused, names)), None):
            return problem
        if any(map(is_importing, names)) and (len(steps) > 1 or "_mode_" in siblings):
            return f"{value} with a changed mode or as a replacement"
    if key == "_mode_" and ("_target_" not in siblings or value not in ("default", "callable")):
        return f"_mode_ {value!r}"
    if key in NAMED_CLASSES and value is not None:
        names = value if isinstance(value, list) else [value]
        if not all(isinstance(n, dict) or str(n).lower() in NAMED_CLASSES[key] for n in names):
            return f"{key} {value!r}; known ones are {', '.join(sorted(NAMED_CLASSES[key]))}"
    if key.startswith("pretrained") and value not in (False, None):
        return f"{key} {value!r} would fetch weights"
    if key == "allow_pickle" and value is not False:
        return "allow_pickle"
    if key == "weights_only" and value is not True:
        return "weights_only switched off"
    return None


def _check_text(place: _Place, path: tuple[str, ...], text: str) -> str | None:
    """Judge a string: an expression, an import, a macro, a reference, or just text."""
    if text.startswith("$"):
        imported = parse_import(text[1:])
        if imported is None:
            return check_expression(text, place.aliases)
        if not _may_import(path):
            return f"an import outside {' and '.join(IMPORT_KEYS)}"
        return check_import(imported, place.aliases)
    if text.startswith("%"):
        return _check_macro(place, text[1:])
    if text.startswith("@"):
        return check_references({text[1:].replace("#", "::"): 1})
    return None


def _check_macro(place: _Place, text: str) -> str | None:
    """A macro may copy from a config of the same bundle, but no import statements."""
    from monai.bundle import ConfigParser

    file, ids = ConfigParser.split_path_id(text)
    if file and PurePosixPath(file).as_posix() not in place.configs:
        return "a macro that reads a file outside the bundle's configs"
    return check_references({ids: 1})


def _may_import(path: tuple[str, ...]) -> bool:
    return path[0] in IMPORT_KEYS and len(path) <= 2 if path else False


def _aliases(configs: Mapping[str, Any]) -> dict[str, str]:
    """The names that the import statements of all configs bring in sight; the first one counts."""
    aliases = dict(DEFAULT_ALIASES)
    for content in configs.values():
        for key in (*IMPORT_KEYS, *(f"+{key}" for key in IMPORT_KEYS)):
            block = content.get(key, []) if isinstance(content, dict) else []
            items = block.values() if isinstance(block, dict) else block
            for item in [items] if isinstance(items, str) else items or ():
                if isinstance(item, str) and item.startswith("$"):
                    for alias, dotted in (parse_import(item[1:]) or {}).items():
                        aliases.setdefault(alias, dotted)
    return aliases


@cache
def _locator() -> Any:
    from monai.bundle import ComponentLocator

    return ComponentLocator()


def _full_names(target: str) -> list[str]:
    """A component's dotted names; MONAI knows its own also by their last part alone."""
    if "." in target:
        return [target]
    found = _locator().get_component_module_name(target)
    modules = [found] if isinstance(found, str) else found or ["builtins"]
    return [f"{module}.{target}" for module in modules]


def _logging_problems(path: Path) -> Iterator[str]:
    """A logging.conf's `class` and `args` are evaluated by Python's logging: allow two handlers."""
    parser = configparser.RawConfigParser()
    parser.read_string(path.read_text(encoding="utf-8"))
    for section in parser.sections():
        values = dict(parser.items(section))
        if section.startswith("formatter") and values.get("class"):
            yield f"[{section}] class = {values['class']}"
        if not section.startswith("handler_"):
            continue
        if values.get("class") not in _LOG_HANDLERS:
            yield f"[{section}] class = {values.get('class')}"
        for key in ("args", "kwargs"):
            text = values.get(key) or "()"
            if not _is_plain(text):
                yield f"[{section}] {key} = {text}"


def _is_plain(text: str) -> bool:
    """Whether an expression holds nothing but literals and the standard streams."""
    tree = ast.parse(text, mode="eval")
    literal = (ast.Expression, ast.Tuple, ast.List, ast.Dict, ast.Constant, ast.expr_context)
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Attribute) and ast.unparse(node) in _LOG_ARGUMENTS:
            continue
        if not isinstance(node, literal):
            return False
        waiting.extend(ast.iter_child_nodes(node))
    return True
