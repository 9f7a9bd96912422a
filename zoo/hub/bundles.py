"""Where bundles lie on this computer, and which settings their configs have."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from zoo.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
PLACES = (PACKAGE / "bundles", PACKAGE.parent / "bundles")
"""In an installed wheel, and in a checkout."""


def bundle_names() -> list[str]:
    """Return the names of the bundles that came with the package."""
    found = {
        path.parent.parent.name
        for place in PLACES
        for path in place.glob("*/configs/inference.json")
    }
    return sorted(found)


def bundle_folder(name: str | Path) -> Path:
    """Return the folder of a bundle: one of the package's by name, or any by path."""
    for place in PLACES:
        if (place / name / "configs" / "inference.json").is_file():
            return place / name
    if (Path(name) / "configs" / "inference.json").is_file():
        return Path(name)
    known = ", ".join(bundle_names())
    close = difflib.get_close_matches(str(name), bundle_names(), n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UserError(
        f"there is no model {str(name)!r}{hint}; use one of {known}, or --bundle with a folder "
        "that holds configs/inference.json"
    )


def config_keys(folder: Path, config: str = "inference.json") -> list[str]:
    """Return the names of the settings of one of a bundle's configs."""
    path = folder / "configs" / config
    if not path.is_file():
        raise UserError(f"the bundle {folder} has no configs/{config}")
    if path.suffix == ".json":
        return list(json.loads(path.read_text()))
    import yaml

    return list(yaml.safe_load(path.read_text(encoding="utf-8")))
