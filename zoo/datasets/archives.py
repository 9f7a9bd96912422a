"""Inspecting an archive before it is unpacked: names, links and sizes. Nothing is written."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from zoo.datasets.path_safety import path_problem
from zoo.datasets.problems import Problem

MAX_MEMBERS = 200_000
"""Largest number of members of an archive."""

UNCHECKED_BYTES = 1 << 30
"""Archives that unpack to no more than this are accepted whatever their compression ratio."""

MAX_EXPANSION = 200
"""Largest ratio of unpacked to packed size.

Compression shrinks images about tenfold and label maps a hundredfold at most, but an archive bomb
a thousandfold.
"""


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip or tar archive, by its suffix."""
    return path.is_file() and path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def archive_problems(path: Path) -> list[Problem]:
    """Return everything that makes an archive unsafe to unpack."""
    problems: list[Problem] = []
    packed, unpacked = path.stat().st_size, 0
    try:
        for count, (name, size, special) in enumerate(_members(path), start=1):
            unpacked += size
            if count > MAX_MEMBERS or unpacked > max(UNCHECKED_BYTES, MAX_EXPANSION * packed):
                what = (
                    f"its {packed} bytes would expand to at least {unpacked} bytes in at least "
                    f"{count} files"
                )
                problems.append(Problem("archive-bomb", path.name, what, "do not unpack it"))
                break
            problems += _member_problems(path.name, name, special)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        what = f"the archive cannot be read ({error})"
        fix = "copy the archive again or recreate it"
        problems.append(Problem("archive-broken", path.name, what, fix))
    return problems


def _member_problems(archive: str, name: str, special: bool) -> Iterator[Problem]:
    """Yield what makes one member unsafe; `special` marks anything but plain files and folders."""
    if wrong := path_problem(name.rstrip("/")):
        what = f"the member {name[:80]!r}: {wrong.what}"
        fix = "do not unpack it; create the archive again with relative paths"
        yield Problem(f"archive-{wrong.id}", archive, what, fix)
    if special:
        what = f"the member {name[:80]!r} is a link or a special file"
        yield Problem("archive-link", archive, what, "do not unpack it; pack the files themselves")


def _members(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Yield each member's name, its unpacked size, and whether it is not a plain file or folder."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                mode = member.external_attr >> 16
                special = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
                yield member.orig_filename, member.file_size, special
        return
    with tarfile.open(path) as tar:
        for entry in tar:
            yield entry.name, entry.size, not (entry.isfile() or entry.isdir())
