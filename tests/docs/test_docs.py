"""The code blocks of README.md and docs/ run as they stand, top to bottom, one folder a page.

A block of Python may use what the blocks of Python just before it made.
"""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?```(sh|python)\n(.*?)```", re.DOTALL)


def blocks(page):
    """Return (language, code) of the blocks that are meant to run."""
    return [(lang, code) for skipped, lang, code in BLOCK.findall(page.read_text()) if not skipped]


PAGES = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if blocks(p)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_the_page_runs(page, tmp_path):
    pair = make_pair(1, shape=(36, 40, 32), axes="LPS", tilt_degrees=8, contrasts=("t1", "t2"))
    write_volume(tmp_path / "fixed.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(tmp_path / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    write_volume(tmp_path / "fixed_labels.nii.gz", pair.fixed_labels, pair.fixed_grid)
    write_volume(tmp_path / "moving_labels.nii.gz", pair.moving_labels, pair.moving_grid)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    for language, group in itertools.groupby(blocks(page), key=lambda block: block[0]):
        code = "".join(code for _, code in group)
        program = [sys.executable, "-c"] if language == "python" else ["bash", "-euc"]
        command = [*program, code]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": path, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_the_readme_has_blocks_that_run_and_blocks_that_do_not():
    page = ROOT / "README.md"
    assert 4 <= len(blocks(page)) < len(BLOCK.findall(page.read_text()))


def test_links_between_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
