"""Check files before they are committed: size, syntax, outputs of notebooks.

    python tools/check_files.py FILE ...
    python tools/check_files.py          (all files of the repository)

JSON and YAML files must be readable. A notebook is committed without outputs. A file may have three
quarters of a MiB; the compact weights of a bundle may have twelve.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
KIB = 1024
LARGEST = {".safetensors": 12 * KIB * KIB}
LARGEST_OTHER = 768 * KIB


class _Loader(yaml.SafeLoader):
    """Reads the syntax; a tag such as the `!!python/...` of MkDocs becomes nothing."""


_Loader.add_multi_constructor("", lambda *_: None)


def problems(path: Path) -> list[str]:
    """Return what is wrong with a file."""
    found = []
    limit = LARGEST.get(path.suffix, LARGEST_OTHER)
    if path.stat().st_size > limit:
        size = path.stat().st_size // KIB
        found.append(f"{size} KiB, more than {limit // KIB}; publish large files elsewhere")
    try:
        if path.suffix in (".json", ".ipynb"):
            document = json.loads(path.read_text(encoding="utf-8"))
            if path.suffix == ".ipynb" and has_outputs(document):
                found.append("has outputs; clear them with `jupyter nbconvert --clear-output`")
        elif path.suffix in (".yaml", ".yml", ".cff"):
            list(yaml.load_all(path.read_text(encoding="utf-8"), _Loader))
    except (ValueError, yaml.YAMLError) as error:
        found.append(f"cannot be read: {' '.join(str(error).split())}")
    return found


def has_outputs(notebook: Any) -> bool:
    """Return whether a cell of a notebook has outputs or was counted."""
    cells = notebook.get("cells", [])
    return any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def repository_files() -> list[Path]:
    """Return the files that git keeps."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def main() -> int:
    """Print the problems and return the exit code: 1 if there are any."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or repository_files()
    found = [f"{path}: {text}" for path in files if path.is_file() for text in problems(path)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
