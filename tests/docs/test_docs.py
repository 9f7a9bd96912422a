"""The pages are correct: their code blocks run, their links lead somewhere, the index is complete.

The blocks of a page run from top to bottom in one folder. A Python block may use the variables of
the Python blocks directly before it.
"""

import itertools
import pydoc
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from support.command_server import commands
from support.dicom_cases import write_study

from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("bundles/*/docs/README.md")),
]
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?```(sh|python)\n(.*?)```", re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def page_id(page: Path) -> str:
    """Return the path of a page relative to the repository."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, code) of the blocks that are meant to run."""
    return [(lang, code) for skipped, lang, code in BLOCK.findall(page.read_text()) if not skipped]


def links(page: Path) -> list[tuple[str, str]]:
    """Return (path, anchor) of the links of a page to files of the repository."""
    text = CODE.sub("", page.read_text())
    found = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    return [(path, anchor) for path, anchor in found if ":" not in path]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def programs():
    """Return a folder with the programs that the blocks use."""
    # The name of a socket is short, which that of a folder of pytest need not be.
    with tempfile.TemporaryDirectory() as folder, commands(Path(folder)) as programs:
        yield programs


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=page_id)
def test_every_block_of_the_page_runs(page, tmp_path, programs):
    pair = make_pair(1, shape=(36, 40, 32), axes="LPS", tilt_degrees=8, contrasts=("t1", "t2"))
    write_volume(tmp_path / "fixed.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(tmp_path / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    write_volume(tmp_path / "fixed_labels.nii.gz", pair.fixed_labels, pair.fixed_grid)
    write_volume(tmp_path / "moving_labels.nii.gz", pair.moving_labels, pair.moving_grid)
    if page.name == "dicom.md":
        write_study(tmp_path)
    path = f"{programs}:{Path(sys.executable).parent}:/usr/bin:/bin"
    for language, group in itertools.groupby(blocks(page), key=lambda block: block[0]):
        code = "".join(code for _, code in group)
        program = [programs / "run-python"] if language == "python" else ["bash", "-euc"]
        done = subprocess.run(
            [*program, code], cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_the_readme_has_blocks_that_run_and_blocks_that_do_not():
    page = ROOT / "README.md"
    assert 4 <= len(blocks(page)) < len(BLOCK.findall(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_links_of_the_page_lead_to_files_and_headings(page):
    for path, anchor in links(page):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"no such file: {path}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"no such heading: {path}#{anchor}"


def test_the_index_lists_every_page():
    listed = {(DOCS / path).resolve() for path, _ in links(DOCS / "index.md") if path}
    assert listed >= set(DOCS.rglob("*.md")) - {DOCS / "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_names_of_the_package_on_the_page_exist(page):
    names = set(re.findall(r"`(zoo(?:\.\w+)+)`", page.read_text()))
    assert [name for name in sorted(names) if pydoc.locate(name) is None] == []
