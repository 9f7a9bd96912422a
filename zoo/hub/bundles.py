"""The bundles on this computer: where they are, and which settings their configs have."""

from __future__ import annotations

import difflib
from pathlib import Path

from zoo.errors import UserError
from zoo.io.json_documents import read_json_object
from zoo.io.yaml_documents import read_yaml_mapping

_PACKAGE = Path(__file__).resolve().parent.parent


def search_folders() -> tuple[Path, ...]:
    """Return the folders of packaged bundles: in an installed wheel, or in a checkout.

    Every search for a packaged bundle goes through this function, so that a test can add a folder.
    """
    installed = _PACKAGE / "bundles"
    return (installed if installed.is_dir() else _PACKAGE.parent / "bundles",)


def bundle_names() -> list[str]:
    """Return the names of the packaged bundles."""
    configs = (c for folder in search_folders() for c in folder.glob("*/configs/inference.json"))
    return sorted({path.parent.parent.name for path in configs})


def packaged_bundle(name: str) -> Path | None:
    """Return the folder of a packaged bundle; None if there is no bundle of that name."""
    if name not in bundle_names():
        return None
    return next(f / name for f in search_folders() if (f / name / "configs").is_dir())


def is_packaged(bundle: Path) -> bool:
    """Return whether a bundle is one of the package's own."""
    return any(folder.resolve() in bundle.resolve().parents for folder in search_folders())


def bundle_folder(name: str | Path) -> Path:
    """Return the folder of a bundle: a packaged one by its name, any other one by its path."""
    packaged = packaged_bundle(str(name))
    if packaged is not None:
        return packaged
    if (Path(name) / "configs" / "inference.json").is_file():
        return Path(name)
    close = difflib.get_close_matches(str(name), bundle_names(), n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise UserError(
        f"there is no model {str(name)!r}{hint}; use one of {', '.join(bundle_names())}, or "
        "--bundle with a folder that holds configs/inference.json"
    )


def config_keys(folder: Path, config: str = "inference.json") -> list[str]:
    """Return the names of the settings in one of a bundle's configs."""
    path = folder / "configs" / config
    if not path.is_file():
        raise UserError(f"the bundle {folder} has no configs/{config}")
    if path.suffix == ".json":
        return list(read_json_object(path))
    return list(read_yaml_mapping(path))
