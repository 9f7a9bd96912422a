import datetime
import re
import shutil
from pathlib import Path

import pytest
import release

from zoo import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """Return a copy of the files that record the version."""
    files = [place.path for place in release.places(ROOT)] + [ROOT / "CHANGELOG.md"]
    for path in files:
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path


def test_the_files_of_this_checkout_agree():
    assert {place.version() for place in release.places(ROOT)} == {__version__}
    assert len(release.places(ROOT)) == 2 + len(list(ROOT.glob("bundles/*/spec.yaml")))


def test_a_release_is_recorded_in_every_file_and_nothing_else_changes(checkout):
    before = {path: path.read_text() for path in checkout.rglob("*.*") if path.is_file()}
    release.set_version(checkout, "9.8.7", datetime.date(2031, 2, 3))
    assert release.problems(checkout, "v9.8.7") == []
    for path, text in before.items():
        changed = set(path.read_text().splitlines()) - set(text.splitlines())
        expected = (
            [r"## \[9.8.7\] - 2031-02-03"] if path.name == "CHANGELOG.md" else [r".*9\.8\.7.*"]
        )
        assert len(changed) == 1
        assert re.fullmatch(expected[0], changed.pop())


def test_the_changes_stay_below_the_heading_of_their_release(checkout):
    before = (checkout / "CHANGELOG.md").read_text().split("## [Unreleased]\n")[1]
    release.set_version(checkout, "9.8.7", datetime.date(2031, 2, 3))
    after = (checkout / "CHANGELOG.md").read_text()
    assert after.endswith(f"## [Unreleased]\n\n## [9.8.7] - 2031-02-03\n{before}")


@pytest.mark.parametrize("tag", ["9.8.7", "v9.8", "v9.8.7-beta", "latest"])
def test_a_tag_that_is_no_version_is_refused(checkout, tag):
    assert "such as v0.2.0" in release.problems(checkout, tag)[0]


def test_a_tag_that_differs_is_refused_with_the_files(checkout):
    release.set_version(checkout, "9.8.7", datetime.date(2031, 2, 3))
    found = "\n".join(release.problems(checkout, "v9.9.0"))
    assert "zoo/__init__.py records '9.8.7', not '9.9.0'" in found
    assert "CITATION.cff" in found
    assert "bundles/mcbo/configs/metadata.json" in found
    assert "CHANGELOG.md has no section" in found
