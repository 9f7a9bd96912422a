"""Set the version of a release in every file that records it, or check that they agree with a tag.

    python tools/release.py 0.2.0
    python tools/release.py --check v0.2.0

The version is in `zoo/__init__.py`, in `CITATION.cff`, and in the metadata of each bundle, which
says which regzoo it needs. The changelog has a section for it. It is therefore written down, and
not derived from the tag: an archive, a shallow clone and a checkout without git have it too. The
release workflow refuses a tag that differs from these files.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
UNRELEASED = "## [Unreleased]\n"


@dataclass(frozen=True)
class Place:
    """A file that records the version; the second group of `pattern` is the version."""

    path: Path
    pattern: str

    def version(self) -> str:
        """Return the version that the file records, or an empty text."""
        found = re.search(self.pattern, self.path.read_text(encoding="utf-8"), re.MULTILINE)
        return found[2] if found else ""

    def write(self, version: str) -> None:
        """Record another version."""
        text = self.path.read_text(encoding="utf-8")
        changed = re.sub(self.pattern, rf"\g<1>{version}\g<3>", text, flags=re.MULTILINE)
        self.path.write_text(changed, encoding="utf-8")


def places(root: Path) -> list[Place]:
    """Return the files of a checkout that record the version."""
    return [
        Place(root / "zoo" / "__init__.py", r'^(__version__ = ")([^"]*)(")'),
        Place(root / "CITATION.cff", r"^(version: )(\S*)()$"),
        *(
            Place(path, r'^(\s*"regzoo": ")([^"]*)(")')
            for path in sorted(root.glob("bundles/*/configs/metadata.json"))
        ),
    ]


def problems(root: Path, tag: str) -> list[str]:
    """Return what disagrees with a tag such as v0.2.0."""
    version = tag.removeprefix("v")
    if not tag.startswith("v") or not VERSION.fullmatch(version):
        return [f"the tag {tag!r} is not v and a version, such as v0.2.0"]
    found = [
        f"{place.path.relative_to(root).as_posix()} records {place.version()!r}, not {version!r}"
        for place in places(root)
        if place.version() != version
    ]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE
    ):
        found.append(f"CHANGELOG.md has no section '## [{version}] - YEAR-MONTH-DAY'")
    return found


def set_version(root: Path, version: str, day: datetime.date) -> None:
    """Record a version, and turn the changes under "Unreleased" into its section."""
    for place in places(root):
        place.write(version)
    path = root / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    section = f"{UNRELEASED}\n## [{version}] - {day.isoformat()}\n"
    path.write_text(text.replace(UNRELEASED, section, 1), encoding="utf-8")


def main() -> int:
    """Run the command line and return the exit code: 1 if a file disagrees with the tag."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("version", nargs="?", help="the version of the release, such as 0.2.0")
    action.add_argument("--check", metavar="TAG", help="the tag to compare with, such as v0.2.0")
    arguments = parser.parse_args()
    if arguments.check is None and not VERSION.fullmatch(arguments.version):
        parser.error(f"{arguments.version!r} is not a version such as 0.2.0 or 0.2.0rc1")
    if arguments.check is None:
        set_version(ROOT, arguments.version, datetime.date.today())
    found = problems(ROOT, arguments.check or f"v{arguments.version}")
    for problem in found:
        print(f"release: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
