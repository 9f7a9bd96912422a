"""The program of the viewer, for a page that loads nothing: modules, style sheet and library."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from zoo.reporting.viewer.encoding import packed

FOLDER = Path(__file__).parent
MODULES, LIBRARY = FOLDER / "modules", FOLDER / "vendor" / "niivue.js"
PREFIX = "regzoo/"
"""The modules import each other by the name of their file without suffix, after this prefix."""


@cache
def import_map() -> dict[str, dict[str, str]]:
    """Return an import map whose addresses are the modules themselves, as data URLs."""
    imports = {}
    for path in sorted(MODULES.glob("*.js")):
        text = base64.b64encode(path.read_bytes()).decode()
        imports[PREFIX + path.stem] = f"data:text/javascript;base64,{text}"
    return {"imports": imports}


@cache
def library() -> str:
    """Return the module of NiiVue, compressed with gzip, in base64."""
    return packed(LIBRARY.read_bytes(), level=9)


@cache
def style() -> str:
    """Return the style sheet of the viewer."""
    return (MODULES / "viewer.css").read_text(encoding="utf-8")
