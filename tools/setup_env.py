"""Make `.venv` for this checkout: quick when it is ready, remade when it is broken.

    python3 tools/setup_env.py          what `make demo` needs
    python3 tools/setup_env.py test     also what `make test` needs

Only the standard library is used: this runs before anything is installed. A stamp with the
hash of what was asked for is written last, so an interrupted installation leaves none and the
next run starts from an empty folder.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "regzoo-setup.json"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
OLDEST = (3, 10)


def wanted(extras):
    """Return what a ready environment's stamp must hold, apart from its extras."""
    digest = hashlib.sha256(str(ROOT).encode())
    for name in ("pyproject.toml", "constraints.txt"):
        digest.update((ROOT / name).read_bytes())
    return {"inputs": digest.hexdigest(), "extras": sorted(extras)}


def stamp():
    """Return the stamp of the present environment, or None."""
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None


def works():
    """Say whether the environment's interpreter starts and finds the package and torch."""
    check = "import importlib.util as u, zoo, sys; sys.exit(u.find_spec('torch') is None)"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True, cwd="/").returncode == 0
    except OSError:
        return False


def ready(want):
    """Say whether the present environment holds all that is wanted, and works."""
    have = stamp()
    if have is None or have["inputs"] != want["inputs"]:
        return False
    return set(want["extras"]) <= set(have["extras"]) and works()


def install(want):
    """Install the package with the wanted extras; reuse a sound environment, else start anew."""
    if stamp() is None or not works():
        if VENV.exists():
            print("setup: .venv is missing its stamp or does not work; it is made anew")
            shutil.rmtree(VENV)
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    STAMP.unlink(missing_ok=True)
    target = f".[{','.join(want['extras'])}]" if want["extras"] else "."
    command = [PYTHON, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", "-e", target]
    subprocess.run(command, cwd=ROOT, check=True)
    STAMP.write_text(json.dumps(want))


def main():
    """Make the environment ready, or say in one line why it cannot be."""
    if sys.version_info < OLDEST:
        sys.exit(
            f"setup: Python {sys.version.split()[0]} is too old; run `make PYTHON=python3.11 ...`"
            " with Python 3.10 to 3.13"
        )
    have = stamp()
    extras = set(sys.argv[1:]) | set(have["extras"] if have else [])
    want = wanted(extras)
    if ready(want):
        return
    print(f"setup: installing into {VENV} (a few minutes the first time)", flush=True)
    try:
        install(want)
    except subprocess.CalledProcessError as error:
        sys.exit(
            f"setup: {' '.join(map(str, error.cmd[1:5]))} ... failed; see the lines above."
            " The next run starts anew."
        )


if __name__ == "__main__":
    main()
