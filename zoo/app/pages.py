"""The files of the page: its own, those of the viewer, and the library that draws slices."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from starlette.responses import FileResponse

from zoo.app.request_error import RequestError

PACKAGE = Path(__file__).parent
REPORTING = PACKAGE.parent / "reporting"
INDEX = PACKAGE / "page" / "index.html"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}
"""The types of files that a browser shows or runs; anything else is a download."""

_INLINE = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)


def page_files() -> dict[str, Path]:
    """Return the files that the page consists of, by their addresses."""
    viewer = REPORTING / "viewer"
    found = {
        "/": INDEX,
        "/page/report.css": REPORTING / "templates" / "report.css",
        "/vendor/niivue.js": viewer / "vendor" / "niivue.js",
    }
    found |= {f"/page/{path.name}": path for path in INDEX.parent.iterdir()}
    found |= {f"/viewer/{path.name}": path for path in (viewer / "modules").iterdir()}
    return {address: path for address, path in found.items() if path.suffix in TYPES}


def page_file(address: str) -> FileResponse:
    """Return the answer to the address of a file of the page."""
    path = page_files().get(address)
    if path is None:
        raise RequestError(f"there is no {address[:200]!r} here", 404)
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)


def script_hashes(html: str) -> str:
    """Return the hashes of the inline scripts of a page, as a content security policy has them."""
    digests = (hashlib.sha256(text.encode()).digest() for text in _INLINE.findall(html))
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
