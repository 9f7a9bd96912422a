"""Put together the files of the Space, which runs `regzoo app` for everybody with the demo pairs.

    python -m build --wheel
    python tools/make_space.py --wheel dist/regzoo-*.whl --out build/space

docs/how-to/app.md describes how to publish the folder.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from demo import DATA, HEADS, NECK

ROOT = Path(__file__).resolve().parents[1]
SPACE = Path(__file__).resolve().parent / "space"
COLUMNS = ("fixed", "moving", "fixed_labels", "moving_labels")


def pairs_table() -> str:
    """Return pairs.csv with the pairs of the demo."""
    rows = [[f"{name}.nii.gz" for name in (*pair.images, *pair.labels)] for pair in (HEADS, NECK)]
    return "".join(",".join(row) + "\n" for row in (COLUMNS, *rows))


def make_space(wheel: Path, out: Path) -> None:
    """Write the files of the Space into `out`, which must not exist or be a Space already."""
    if out.exists() and any(out.iterdir()) and not (out / "Dockerfile").is_file():
        raise SystemExit(f"{out} is not the folder of a Space; give another folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(SPACE, out)
    shutil.copytree(DATA, out / "demo")
    (out / "demo" / "pairs.csv").write_text(pairs_table(), encoding="utf-8")
    shutil.copy(ROOT / "constraints.txt", out)
    shutil.copy(wheel, out)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel of regzoo")
    parser.add_argument("--out", type=Path, default=Path("build/space"), help="output folder")
    arguments = parser.parse_args()
    make_space(arguments.wheel, arguments.out)
    print(f"The Space is in {arguments.out}")


if __name__ == "__main__":
    main()
