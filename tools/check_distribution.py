"""Install the wheel and the sdist in clean environments and register a pair with each.

    python -m build
    python tools/check_distribution.py dist

The environment has the interpreter that runs this program. Everything happens outside the checkout,
so that only what the distributions contain is found. uv makes the environments if it is on the
path, otherwise venv and pip.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {"wheel": ".whl", "sdist": ".tar.gz"}
COMMANDS = (
    ["-m", "zoo", "--version"],
    ["-m", "zoo", "register", "--help"],
    ["-m", "zoo", "models"],
    ["-m", "zoo", "check-bundle", "mcbo"],
)
REGISTRATION = """
import importlib.resources
import zoo
from zoo.synthesis.phantom import make_pair
from zoo.io.volume import write_volume

assert importlib.resources.files("zoo").joinpath("py.typed").is_file(), "py.typed is missing"
pair = make_pair(1, shape=(36, 40, 32), axes="LPS", tilt_degrees=8)
for side in ("fixed", "moving"):
    grid = getattr(pair, f"{side}_grid")
    write_volume(f"{side}.nii.gz", getattr(pair, side), grid)
figures = zoo.register("fixed.nii.gz", "moving.nii.gz", model="mcbo").figures
assert figures["similarity_after"] > figures["similarity_before"], figures
"""


def environment(folder: Path) -> list[str]:
    """Create an environment and return the command that installs into it."""
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        return [uv, "pip", "install", "--quiet", "--python", str(python_of(folder))]
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return [str(python_of(folder)), "-m", "pip", "install", "--quiet"]


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def check(distribution: Path) -> float:
    """Install a distribution, run the commands and a registration; return the seconds."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "environment"
        install = environment(folder)
        target = [distribution, "-c", ROOT / "constraints.txt"]
        subprocess.run([*install, *target], cwd=scratch, check=True)
        python = python_of(folder)
        for words in (*COMMANDS, ["-c", REGISTRATION]):
            subprocess.run([python, *words], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def main() -> int:
    """Check the distributions of a folder and return the exit code: 1 if one does not work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder that `python -m build` filled")
    parser.add_argument("--only", choices=sorted(SUFFIXES), help="only the wheel or the sdist")
    arguments = parser.parse_args()
    wanted = [arguments.only] if arguments.only else sorted(SUFFIXES)
    code = 0
    for kind in wanted:
        files = sorted(arguments.folder.resolve().glob(f"*{SUFFIXES[kind]}"))
        if not files:
            parser.error(f"{arguments.folder} has no {kind}; run `python -m build` first")
        for file in files:
            try:
                print(f"{file.name}, Python {sys.version.split()[0]}: {check(file):.0f} s")
            except subprocess.CalledProcessError as error:
                print(f"{file.name}: {' '.join(map(str, error.cmd))[:200]} failed")
                code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
