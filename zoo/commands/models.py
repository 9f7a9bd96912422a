"""`regzoo models`: what the zoo has."""

from __future__ import annotations


def models() -> None:
    """List the models, their weights, and what is on this computer.

    A model without weights runs at once. Weights that the catalogue holds no sha256 for are marked
    unverified: their first pull notes what came and later pulls are held to it.

    Examples:
        regzoo models
    """
    from zoo.hub.catalogue import load_catalogue

    rows = [("model", "weights", "on disk", "size", "licence", "for")]
    for model in load_catalogue().values():
        if not model.variants:
            rows.append((model.name, "none needed", "yes", "-", model.licence, model.summary))
        for variant in model.variants.values():
            place, size = _on_disk(model.name, variant.name)
            state = variant.name if variant.verified else f"{variant.name} (unverified)"
            if not place and not variant.published and variant.upstream is None:
                place = "not published"
            mb = f"{size / 1e6:.1f} MB" if size else "?"
            rows.append((model.name, state, place or "no", mb, variant.licence, model.summary))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _on_disk(model: str, variant: str) -> tuple[str, int | None]:
    """Whether the weights are here, and the size of their file (bytes), known or measured."""
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
