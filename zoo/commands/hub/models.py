"""`regzoo models`: list the models of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def models() -> None:
    """List the models, their weights, and which weights are on this computer.

    A model that needs no weights runs at once. Weights without a sha256 in the catalogue are marked
    unverified: the first pull records the sha256 of the file, and later pulls must match it. Below
    are your own models, which regzoo finetune wrote on this computer, with their folders.

    Examples:
        regzoo models
    """
    from zoo.hub.catalogue import load_catalogue

    rows: list[tuple[str, ...]] = [("model", "weights", "on disk", "size", "licence", "for")]
    for model in load_catalogue().values():
        if not model.variants:
            rows.append((model.name, "none needed", "yes", "-", model.licence, model.summary))
        for variant in model.variants.values():
            location, size = _on_disk(model.name, variant.name)
            weights = variant.name if variant.verified else f"{variant.name} (unverified)"
            if not location and not variant.published and variant.upstream is None:
                location = "not published"
            mb = f"{size / 1e6:.1f} MB" if size else "?"
            rows.append((model.name, weights, location or "no", mb, variant.licence, model.summary))
    _print_table(rows)
    if own := _own_models():
        print()
        _print_table([("your model", "is a", "trained from", "folder"), *own])


def _own_models() -> list[tuple[str, ...]]:
    """Return the name, the model, the initial weights and the folder of one's own models."""
    from zoo.errors import UserError
    from zoo.hub.own_models import is_bundle, read_own_model, recorded_folders

    rows: list[tuple[str, ...]] = []
    for folder in recorded_folders():
        model, start = "missing", "-"
        if is_bundle(folder):
            try:
                model, start = read_own_model(folder).model, _start_of(folder)
            except UserError as error:
                model = f"not usable: {error}"
        rows.append((folder.name, model, start, str(folder)))
    return rows


def _start_of(folder: Path) -> str:
    """Return the weights or the settings from which the training of a bundle started."""
    from zoo.io.json_documents import read_json_object

    trained = read_json_object(folder / "configs" / "metadata.json").get("trained")
    start = trained.get("start") if isinstance(trained, dict) else None
    return str(start.get("variant", "-"))[:40] if isinstance(start, dict) else "-"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _on_disk(model: str, variant: str) -> tuple[str, int | None]:
    """Return where the weights are ("" if absent) and the size of their file in bytes, if known."""
    from zoo.hub.catalogue import find_model
    from zoo.hub.lock import read_lock

    spec = find_model(model)
    known = spec.variants[variant]
    installed = read_lock().installed.get(f"{model}:{variant}")
    if installed is not None and installed.in_place():
        return "yes", installed.size
    packaged = spec.folder / known.file
    if packaged.is_file():
        return "packaged", packaged.stat().st_size
    return "", known.size
