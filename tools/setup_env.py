"""Create or update the virtual environment `.venv` of this checkout.

    python3 tools/setup_env.py          what `make demo` needs
    python3 tools/setup_env.py test     also what `make test` needs

uv installs the packages if it is on the path, otherwise pip does, and pip also takes over if uv
fails. A ready environment is left as it is; a broken one is created anew. Only the standard library
is used, because this runs before anything is installed. A stamp with a hash of the requirements is
written last: an interrupted installation leaves no stamp, and the next run starts from an empty
folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict  # noqa: UP035 - an older Python must get as far as its error

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "regzoo-setup.json"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
OLDEST_PYTHON = (3, 10)
Stamp = Dict[str, Any]  # noqa: UP006
"""A hash of the requirements ("inputs"), and the optional dependencies ("extras")."""


def required_stamp(extras: set[str]) -> Stamp:
    """Return the stamp of an environment with these extras."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return {"inputs": digest.hexdigest(), "extras": sorted(extras)}


def read_stamp() -> Stamp | None:
    """Return the stamp of the present environment, or None."""
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None


def works() -> bool:
    """Return whether the interpreter of the environment starts and finds the package and torch."""
    check = "import importlib.util as u, zoo, sys; sys.exit(u.find_spec('torch') is None)"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True, cwd="/").returncode == 0
    except OSError:
        return False


def is_ready(required: Stamp) -> bool:
    """Return whether the present environment works and has everything that is required."""
    present = read_stamp()
    if present is None or present["inputs"] != required["inputs"]:
        return False
    return set(required["extras"]) <= set(present["extras"]) and works()


def install(required: Stamp) -> None:
    """Install the package with its extras, into a new environment if the present one is broken."""
    if read_stamp() is None or not works():
        if VENV.exists():
            print("setup: .venv is incomplete or does not work; it is created anew")
            shutil.rmtree(VENV)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    STAMP.unlink(missing_ok=True)
    target = f".[{','.join(required['extras'])}]" if required["extras"] else "."
    install_packages(["--quiet", "-c", "constraints.txt", "-e", target])
    STAMP.write_text(json.dumps(required))


def install_packages(arguments: list[str]) -> None:
    """Install into the environment: with uv if it is on the path, with pip otherwise."""
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", PYTHON, *arguments]
        if subprocess.run(command, cwd=ROOT).returncode == 0:
            return
        print("setup: uv could not install the packages; pip is used instead", flush=True)
    subprocess.run([PYTHON, "-m", "pip", "install", *arguments], cwd=ROOT, check=True)


def main() -> None:
    """Make the environment ready, or exit with one line that says why that is not possible."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("extras", nargs="*", help="optional dependencies, as in pyproject.toml")
    extras = set(parser.parse_args().extras)
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"setup: Python {sys.version.split()[0]} is too old; run `make PYTHON=python3.11 ...`"
            " with Python 3.10 to 3.13"
        )
    present = read_stamp()
    required = required_stamp(extras | set(present["extras"] if present else []))
    if is_ready(required):
        return
    print(f"setup: installing into {VENV}; the first time takes a few minutes", flush=True)
    try:
        install(required)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"setup: {' '.join(map(str, error.cmd[1:5]))} ... failed; see the lines above."
            " The next run starts with an empty environment."
        )


if __name__ == "__main__":
    main()
