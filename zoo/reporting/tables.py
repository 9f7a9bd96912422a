"""The contents of a result.json as tiles, tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.evaluation.figures import FIGURES

Row = Sequence[str]

TILES = ("dice", "tre_mm", "hd95_mm", "similarity")

AFFINE_SENTENCES = {
    "none": "No initial affine alignment was used",
    "com": "The initial alignment moved the centres of mass onto each other",
    "rigid": "The initial alignment was rigid (translation and rotation)",
    "affine": "The initial alignment was affine (translation, rotation, scale and shear)",
    "given": "The initial alignment was the given affine transform",
}


@dataclass(frozen=True)
class Table:
    """A table with a heading, a caption (or ""), column titles (or none) and rows of text."""

    heading: str
    rows: Sequence[Row]
    caption: str = ""
    columns: Row = ()


def tiles(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the value and the title of the few most informative figures."""
    out = []
    for spec in (FIGURES[name] for name in TILES):
        before, after = (figures.get(key) for key in spec.keys)
        if after is not None:
            out.append((f"{spec.text(before)} \N{RIGHTWARDS ARROW} {spec.text(after)}", spec.label))
    if figures.get("folding_percent") is not None:
        out.append((f"{figures['folding_percent']:.2g} %", "of the voxels fold"))
    return out


def figure_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of figures: before and after, of the transform, and of each label."""
    figures = result["figures"]
    known = [spec for spec in FIGURES.values() if figures.get(spec.key) is not None]
    rows = {
        both: [
            (spec.description, *(spec.text(figures.get(key)) for key in spec.keys))
            for spec in known
            if spec.before_after == both
        ]
        for both in (True, False)
    }
    tables = [
        Table(
            "Figures",
            rows[True],
            caption="Before: the images as their headers place them.",
            columns=("", "before", "after"),
        ),
        Table("Transform", rows[False], columns=("", "")),
        Table(
            "Labels",
            label_rows(result.get("labels") or {}),
            columns=("label", "Dice before", "after", "HD95 mm before", "after"),
        ),
    ]
    return [table for table in tables if table.rows]


def label_rows(labels: Mapping[str, Mapping[str, float | None]]) -> list[Row]:
    """Return a row per label with Dice and HD95, before and after."""
    specs = [FIGURES[name] for name in ("dice", "hd95_mm")]
    return [
        (label, *(spec.text(row.get(key)) for spec in specs for key in spec.keys))
        for label, row in labels.items()
    ]


def describe_affine(result: Mapping[str, Any]) -> str:
    """Return a sentence or two about the initial affine alignment."""
    affine = result.get("affine_start")
    if not affine:
        return ""
    kind = affine.get("kind")
    text = AFFINE_SENTENCES.get(kind, f"The initial alignment was of the kind {kind}")
    if affine.get("reason"):
        text += f": {affine['reason']}"
    text = text.rstrip(".") + "."
    if kind != "none" and affine.get("shift_mm") is not None:
        text += f" It moves the body by {affine['shift_mm']:.1f} mm on average."
    return text


def provenance_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return tables that say how the transform was made: model, plan, settings, time, versions."""
    model = {key: result.get(key) for key in ("model", "weights", "working_grid")}
    memory = {"largest, MiB": result.get("peak_memory_mib")}
    tables = [
        Table("Model", _rows(model)),
        Table("Plan", _rows(result.get("plan") or {})),
        Table("Settings", _rows(result.get("settings") or {})),
        Table("Time, s", _rows(result.get("seconds") or {})),
        Table("Versions", _rows(result.get("versions") or {})),
        Table("Memory", _rows(memory)),
    ]
    return [table for table in tables if table.rows]


def _rows(values: Any) -> list[Row]:
    """Return a mapping as rows of key and value; anything else becomes a single row."""
    if not isinstance(values, Mapping):
        return [("", _text(values))]
    return [
        (str(key).replace("_", " "), _text(value))
        for key, value in values.items()
        if value not in (None, {})
    ]


def _text(value: Any) -> str:
    """Return a JSON value as text; the value of a plan is followed by its reason."""
    if isinstance(value, Mapping) and "value" in value:
        reason = value.get("because")
        return f"{_text(value['value'])} ({reason})" if reason else _text(value["value"])
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
