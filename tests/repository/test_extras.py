"""The page on installing names every extra of the package."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_extra_is_documented():
    text = (ROOT / "pyproject.toml").read_text()
    section = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    page = (ROOT / "docs" / "how-to" / "installing.md").read_text()
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert extras
    assert extras <= documented
