"""The documentation site: everything is on it, and its links lead to pages of the site."""

import html
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import docs_site
import pytest

from zoo.cli.commands import command_names

ROOT = Path(__file__).resolve().parents[2]


def entries(nav):
    """Return the pages of a navigation."""
    for entry in nav:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from entries(value)


def test_every_page_is_in_the_navigation_once():
    nav = docs_site.navigation((ROOT / "docs" / "index.md").read_text())
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(entries(nav)) == sorted(pages | set(docs_site.generated_pages()))


@pytest.mark.parametrize(
    ("text", "source", "uri", "expected"),
    [
        (
            "[card](../bundles/mcbo/docs/README.md#use)", "docs/index.md", "index.md",
            "[card](models/mcbo.md#use)",
        ),
        (
            "[a](../../../docs/experiments/mcbo.md)", "bundles/mcbo/docs/README.md",
            "models/mcbo.md", "[a](../experiments/mcbo.md)",
        ),
        (
            "![c](../models/curve.png)", "bundles/unireg/docs/README.md", "models/unireg.md",
            "![c](unireg-curve.png)",
        ),
        (
            "[n](tutorials/registration.ipynb)", "docs/index.md", "index.md",
            "[n](tutorials/registration.md)",
        ),
        ("[layout](#layout)", "CONTRIBUTING.md", "project/contributing.md", "[layout](#layout)"),
        ("[the licence](LICENSE)", "CHANGELOG.md", "project/changelog.md", "the licence"),
        ("[x](https://a.org/b.md)", "docs/index.md", "index.md", "[x](https://a.org/b.md)"),
        ("```\n[a](../LICENSE)\n```", "docs/index.md", "index.md", "```\n[a](../LICENSE)\n```"),
    ],
)  # fmt: skip
def test_links_to_files_of_the_repository_lead_to_pages(text, source, uri, expected):
    assert docs_site.relink(text, source, uri) == expected


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, with warnings as errors, and return its folder."""
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip("the extra docs is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_command_is_described_as_the_terminal_does(site):
    page = html.unescape(re.sub("<[^>]+>", "", (site / "reference" / "commands.html").read_text()))
    for name in command_names():
        assert f"Usage: regzoo {name} " in page
    words = [sys.executable, "-m", "zoo", "register", "--help"]
    assert subprocess.run(words, capture_output=True, text=True).stdout in page


@pytest.mark.slow
def test_every_public_name_has_an_entry(site):
    missing = []
    for package in docs_site.public_packages():
        page = (site / "reference" / "python" / f"{package}.html").read_text()
        anchors = set(re.findall(r'id="([\w.]+)"', page))
        names = set(importlib.import_module(package).__all__) - {"__version__"}
        expected = {name: {f"{package}.{name}", f"{package}.{name}.{name}"} for name in names}
        missing += [f"{package}.{name}" for name, ids in expected.items() if not ids & anchors]
    assert missing == []


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert re.findall(r'(?:src|<link[^>]+href)="(?:https?:)?//[^"]+"', page.read_text()) == []
