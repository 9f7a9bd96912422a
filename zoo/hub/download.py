"""Downloading one file from a URL: resumed where it broke off, never half-placed."""

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
from zoo.hub.places import offline
from zoo.io.atomic import write_json

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 30.0
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)  # between attempts that brought nothing new
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_STATUS = {
    401: "the server asks for a login",
    403: "the server forbids it: access may have to be asked for",
    404: "there is no such file",
    429: "too many requests; wait some minutes and run the command again",
}


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects that stay with the scheme of the first URL."""

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
            f"{url} redirects from {before} to {after} ({target}): refused, because the file could "
            "be changed on the way; ask whoever runs the server"
        )


def check_url(url: str) -> None:
    """Refuse what is not https (plain http is allowed to this computer itself)."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return
    raise UserError(f"{url} is not an https address; weights are fetched over https only")


def download(url: str, target: Path) -> None:
    """Fetch `url` to `target`, going on from what an earlier attempt left in `target`.part.

    `target` appears only when all bytes are there. What is left of a broken download is used only
    if the server still has the very same file (If-Range).
    """
    if offline():
        raise UserError(f"cannot fetch {url}: HF_HUB_OFFLINE is set; unset it to download")
    check_url(url)
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(url, part)
            break
        except (OSError, http.client.HTTPException) as error:
            _explain(url, part, error)
            failures = 0 if _size(part) > before else failures + 1
            if failures > len(_WAITS_SECONDS):
                raise UserError(
                    f"cannot fetch {url}: {error or type(error).__name__}; run the command again "
                    f"to go on from byte {_size(part)}"
                ) from error
            if failures:
                time.sleep(_WAITS_SECONDS[failures - 1])
    part.replace(target)
    _validator_file(part).unlink(missing_ok=True)


def _continue(url: str, part: Path) -> None:
    """One attempt: ask for the rest (or all) and append it to `part`; raises if it breaks off."""
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
            _remember(url, part, response.headers)
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
        raise ConnectionError(f"the connection broke off at byte {_size(part)} of {total}")


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """How many bytes of `part` may be built upon, and the server's validator for them."""
    try:
        note = json.loads(_validator_file(part).read_text(encoding="utf-8"))
        if note["url"] == url and note["validator"]:
            return _size(part), note["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _remember(url: str, part: Path, headers: Any) -> None:
    """Note the validator of what begins to arrive; a weak ETag cannot vouch for a range."""
    etag = headers.get("ETag") or ""
    strong = "" if etag.startswith("W/") else etag
    part.unlink(missing_ok=True)  # before the note changes: old bytes never get a new validator
    note = {"url": url, "validator": strong or headers.get("Last-Modified") or ""}
    write_json(_validator_file(part), note)


def _starts_at(headers: Any, position: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {position}-")


def _validator_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _explain(url: str, part: Path, error: Exception) -> None:
    """Raise a UserError for what another attempt would not mend; return for what it might."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 416:  # what is left does not fit the server's file
            part.unlink(missing_ok=True)
            return
        reason = _STATUS.get(error.code, "the server failed; try again later")
        if error.code // 100 == 3:  # urllib itself follows nothing but http, https and ftp
            reason = f"it redirects from {urlsplit(url).scheme} to something else: refused"
        raise UserError(f"cannot fetch {url}: {error.code}: {reason}") from error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        part.unlink(missing_ok=True)
        raise UserError(
            f"cannot fetch {url}: no space left in {part.parent}; free some, or set HF_HOME to "
            "another disk"
        ) from error
    cause = getattr(error, "reason", None)
    if isinstance(cause, socket.gaierror | ConnectionRefusedError):
        raise UserError(
            f"cannot reach {urlsplit(url).hostname} for {url}: {cause}; check the network"
        ) from error
    if isinstance(error, PermissionError):
        raise UserError(f"cannot write {part}: {error.strerror}; set HF_HOME") from error
