"""The command line imports only what a command needs, because imports dominate small tasks."""

import json
import subprocess
import sys

import pytest
from support.small_weights import small_weights

from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

CHILD = """
import json, sys
from zoo import cli
code = cli.run(sys.argv[1:])
packages = {name.partition(".")[0] for name in sys.modules}
parts = {name for name in sys.modules if name in ("scipy.ndimage", "scipy.stats", "torch._dynamo")}
print(json.dumps([code, sorted(packages | parts)]))
"""
UNNEEDED = {
    *("monai", "ignite", "matplotlib", "pandas", "sklearn", "itk", "SimpleITK", "huggingface_hub"),
    *("scipy.ndimage", "scipy.stats", "torch._dynamo", "dask", "distributed"),
}
"""Packages that registration does without; MONAI alone takes twice as long as torch."""


def imported_by(*words, cwd=None):
    """Return the packages that a command imports in a process of its own."""
    child = [sys.executable, "-c", CHILD, *map(str, words)]
    done = subprocess.run(child, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    code, packages = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    return set(packages)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["register", "--help"], ["app", "--help"], ["models"]]
)
def test_help_and_lists_need_no_torch(words):
    unneeded = {*UNNEEDED, "torch", "nibabel", "h5py", "starlette", "uvicorn"}
    assert not imported_by(*words) & unneeded


def test_the_python_api_needs_no_monai_before_it_trains():
    child = "import json, sys, zoo.api; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
    modules = set(json.loads(done.stdout))
    assert "torch" in modules
    assert not modules & UNNEEDED


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mcbo", "unigradicon"])
def test_a_registration_with_its_report_needs_neither_monai_nor_matplotlib(model, tmp_path):
    made = make_pair(2, shape=(24, 24, 24))
    for side in ("fixed", "moving"):
        grid = getattr(made, f"{side}_grid")
        write_volume(tmp_path / f"{side}.nii.gz", getattr(made, side), grid)
    words = ["register", "fixed.nii.gz", "moving.nii.gz", "--out", "out", "--model", model]
    if model != "mcbo":
        words += ["--set", "size=[32, 32, 32]", "--set", "refine=1"]
        words += ["--weights", small_weights(model, tmp_path)]
    packages = imported_by(*words, cwd=tmp_path)
    assert (tmp_path / "out" / "report.html").exists()
    assert "torch" in packages
    assert not packages & UNNEEDED
