"""Where weights and bundles lie on this computer."""

from __future__ import annotations

import os
from pathlib import Path

import zoo


def hf_home() -> Path:
    """The Hugging Face cache: $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/..."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{caches}/huggingface"
    return at_home(os.path.expandvars(home))


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with ~ replaced; where nobody knows the home it stays, which Path refuses."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def own_home() -> Path:
    """The zoo's folder in the Hugging Face cache: lock file, converted weights, downloads."""
    return hf_home() / "regzoo"


def weights_folder(model: str, variant: str) -> Path:
    """Where weights that did not come from the Hub are placed."""
    return own_home() / "weights" / model / variant


def packaged_bundles() -> Path:
    """The folder of the bundles that came with the package (wheel) or lie in the checkout."""
    package = Path(zoo.__file__).resolve().parent
    installed = package / "bundles"
    return installed if installed.is_dir() else package.parent / "bundles"


def is_packaged(bundle: Path) -> bool:
    """Whether this bundle came with the package."""
    return packaged_bundles() in bundle.resolve().parents


def offline() -> bool:
    """Whether the network is switched off: HF_HUB_OFFLINE, as huggingface_hub reads it."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}
