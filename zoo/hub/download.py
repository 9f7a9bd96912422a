"""Download one file: an interrupted download is resumed, an incomplete file is never in place."""

from __future__ import annotations

import errno
import http.client
import json
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

import zoo
from zoo.errors import UserError
from zoo.hub.cache import offline
from zoo.io.atomic import write_json

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30.0
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # between attempts without progress
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_STATUS = {
    401: "the server requires a login",
    403: "the server denies access; ask its owner for it",
    404: "there is no such file; check the address",
    429: "the server received too many requests; wait some minutes and run the command again",
}


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows only redirects that keep the scheme of the first URL."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage | Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        refuse_scheme_change(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def refuse_scheme_change(url: str, target: str) -> None:
    """Refuse a redirect from one scheme to another (https to http, file, ftp, ...)."""
    before, after = urlsplit(url).scheme, urlsplit(urllib.parse.urljoin(url, target)).scheme
    if before != after:
        raise UserError(
            f"{url} redirects from {before} to {after} ({target}), which is refused because the "
            "file could be changed on the way; tell the owner of the server"
        )


def check_url(url: str) -> None:
    """Refuse an address that is not https; plain http is allowed to this computer itself."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise UserError(f"{url} is not an https address; files are downloaded over https only")


def download(url: str, target: Path) -> None:
    """Download `url` to `target`, resuming from the part in `target`.part if there is one.

    `target` appears only when it is complete. A part is resumed only if the file on the server is
    still the same (If-Range).
    """
    if offline():
        raise UserError(
            f"cannot download {url}: HF_HUB_OFFLINE is set; unset it to use the network"
        )
    check_url(url)
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part)
            break
        except (OSError, http.client.HTTPException) as error:
            _raise_if_final(url, part, error)
            failures = 0 if _size(part) > before else failures + 1
            if failures > len(_WAITS_SECONDS):
                raise UserError(
                    f"cannot download {url}: {error or type(error).__name__}; run the command "
                    f"again to resume from byte {_size(part)}"
                ) from error
            if failures:
                time.sleep(_WAITS_SECONDS[failures - 1])
    part.replace(target)
    _validator_file(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path) -> None:
    """Request the rest of the file, or all of it, and append it to `part`; raise if it fails."""
    request = urllib.request.Request(url, headers={"User-Agent": f"regzoo/{zoo.__version__}"})
    have, validator = _resumable(url, part)
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    opener = urllib.request.build_opener(_SameScheme)
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
        resumed = have > 0 and _starts_at(response.headers, have)
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else start + int(length)
        if not resumed:
            _start_part(url, part, response.headers)
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, disable=None
            ) as bar,
        ):
            while block := response.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"the connection was lost at byte {_size(part)} of {total}")


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes of `part` can be resumed from, and the server's validator for them."""
    try:
        note = json.loads(_validator_file(part).read_text(encoding="utf-8"))
        if note["url"] == url and note["validator"]:
            return _size(part), note["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _start_part(url: str, part: Path, headers: Any) -> None:
    """Note the validator of a new download; a weak ETag is not valid for a range."""
    etag = headers.get("ETag") or ""
    strong = "" if etag.startswith("W/") else etag
    part.unlink(missing_ok=True)  # first, so that old bytes never get a new validator
    note = {"url": url, "validator": strong or headers.get("Last-Modified") or ""}
    write_json(_validator_file(part), note)


def _starts_at(headers: Any, position: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {position}-")


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _raise_if_final(url: str, part: Path, error: Exception) -> None:
    """Raise a `UserError` for an error that another attempt cannot correct."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 416:  # the part is longer than the file on the server
            part.unlink(missing_ok=True)
            return
        reason = _STATUS.get(error.code, "the server failed; try again later")
        if error.code // 100 == 3:  # urllib follows redirects to http, https and ftp only
            reason = f"it redirects from {urlsplit(url).scheme} to another scheme, which is refused"
        raise UserError(f"cannot download {url}: {error.code}: {reason}") from error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        part.unlink(missing_ok=True)
        raise UserError(
            f"cannot download {url}: there is no space left in {part.parent}; free some, or set "
            "HF_HOME to another disk"
        ) from error
    cause = getattr(error, "reason", None)
    if isinstance(cause, socket.gaierror | ConnectionRefusedError):
        raise UserError(
            f"cannot reach {urlsplit(url).hostname} for {url}: {cause}; check the network"
        ) from error
    if isinstance(error, PermissionError):
        raise UserError(f"cannot write {part}: {error.strerror}; set HF_HOME") from error
