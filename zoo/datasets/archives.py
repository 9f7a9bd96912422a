"""Looking into an archive before anybody unpacks it: names, links and sizes; nothing is written."""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from zoo.datasets.path_safety import name_problem
from zoo.datasets.problems import Problem

MOST_MEMBERS = 200_000
LARGEST_UNASKED = 1 << 30
MOST_GROWTH = 200
"""Images shrink tenfold at most, labels a hundredfold; a bomb thousandfold."""


def is_archive(path: Path) -> bool:
    """Say whether a path is a zip or tar archive, by its name."""
    return path.is_file() and path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))


def archive_problems(path: Path) -> list[Problem]:
    """Return what makes an archive unsafe to unpack."""
    problems: list[Problem] = []
    packed, unpacked = path.stat().st_size, 0
    try:
        for number, (name, size, link) in enumerate(_members(path)):
            unpacked += size
            if number >= MOST_MEMBERS or unpacked > max(LARGEST_UNASKED, MOST_GROWTH * packed):
                what = f"{packed} bytes would grow to {unpacked} and more, in {number + 1} files"
                problems.append(Problem("archive-bomb", path.name, what, "do not unpack it"))
                break
            if wrong := name_problem(name.rstrip("/")):
                what = f"the member {name[:80]!r}: {wrong.what}"
                fix = "do not unpack it; pack it again with relative names"
                problems.append(Problem(f"archive-{wrong.id}", path.name, what, fix))
            if link:
                what = f"the member {name[:80]!r} is a link or no plain file"
                fix = "do not unpack it; pack the files themselves"
                problems.append(Problem("archive-link", path.name, what, fix))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        what = f"the archive cannot be read ({error})"
        problems.append(Problem("archive-broken", path.name, what, "copy or make it again"))
    return problems


def _members(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Yield name, unpacked size, and whether it is something else than a file or folder."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                mode = member.external_attr >> 16
                odd = stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
                yield member.orig_filename, member.file_size, odd
        return
    with tarfile.open(path) as tar:
        for entry in tar:
            yield entry.name, entry.size, not (entry.isfile() or entry.isdir())
