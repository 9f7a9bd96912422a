"""The container image is built and registers a pair, where a docker engine answers."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from zoo import __version__
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]


def docker(*words, **options):
    """Run docker and return its output."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def engine_answers():
    """Return whether a docker engine can be reached."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@pytest.mark.skipif(not engine_answers(), reason="no docker engine answers")
def test_the_image_registers_a_pair_as_an_ordinary_user(tmp_path):
    docker("build", "--quiet", "--tag", "regzoo:test", str(ROOT))
    assert docker("run", "--rm", "regzoo:test", "--version") == f"regzoo {__version__}\n"
    pair = make_pair(1, shape=(36, 40, 32), axes="LPS", tilt_degrees=8, contrasts=("t1", "t2"))
    write_volume(tmp_path / "fixed.nii.gz", pair.fixed, pair.fixed_grid, torch.int16)
    write_volume(tmp_path / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    user = f"{os.getuid()}:{os.getgid()}"
    docker(
        "run", "--rm", "--network", "none", "--user", user, "--volume", f"{tmp_path}:/data",
        "regzoo:test", "register", "fixed.nii.gz", "moving.nii.gz", "--out", "result",
    )  # fmt: skip
    assert (tmp_path / "result" / "transform.nii.gz").stat().st_uid == os.getuid()


def test_what_the_image_copies_exists_and_is_not_ignored():
    """The build context holds what the Dockerfile copies, and nothing that was made here."""
    text = (ROOT / "Dockerfile").read_text()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    ignored, *kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored == "*"
    assert {line.removeprefix("!") for line in kept if line.startswith("!")} == set(copied)
    assert all((ROOT / name).exists() for name in copied)
