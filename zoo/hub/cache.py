"""The folders of the Hugging Face cache that the zoo uses, and whether the network is on."""

from __future__ import annotations

import os
from pathlib import Path


def hf_home() -> Path:
    """Return the Hugging Face cache: $HF_HOME, else huggingface in $XDG_CACHE_HOME or ~/.cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{caches}/huggingface"
    return expand_user(os.path.expandvars(home))


def expand_user(path: str | os.PathLike[str]) -> Path:
    """Return a path with ~ replaced; without a home folder ~ stays, where Path would raise."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def regzoo_home() -> Path:
    """Return the zoo's folder in the cache: its lock file, converted weights and downloads."""
    return hf_home() / "regzoo"


def weights_folder(model: str, variant: str) -> Path:
    """Return the folder for weights that did not come from the Hub."""
    return regzoo_home() / "weights" / model / variant


def offline() -> bool:
    """Return whether HF_HUB_OFFLINE switches the network off, read as huggingface_hub reads it."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in {"1", "ON", "YES", "TRUE"}
