"""Write the configs of multiGradICON from those of uniGradICON.

    python tools/generate_multigradicon.py            # after a change of uniGradICON's configs
    python tools/generate_multigradicon.py --check    # exit with 1 if a file is out of date

The two models share their network and differ in their weights, so their configs differ only in the
name of the model and in the default similarity. metadata.json, docs and weights are not generated.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

BUNDLES = Path(__file__).parents[1] / "bundles"
SOURCE, TARGET = "unigradicon", "multigradicon"
FILES = ("inference.json", "evaluate.json", "train.yaml", "multi_gpu_train.yaml", "logging.conf")
WITH_SIMILARITY = ("inference.json", "train.yaml")
SIMILARITY = re.compile(r'^( *"?similarity"?: "?)lncc("?,?)$', re.MULTILINE)
NOTE = "# Generated from bundles/unigradicon by tools/generate_multigradicon.py. Do not edit.\n"


def generated(name: str) -> str:
    """Return the text of a config of multiGradICON."""
    text = (BUNDLES / SOURCE / "configs" / name).read_text(encoding="utf-8")
    text = text.replace(SOURCE, TARGET)
    if name in WITH_SIMILARITY:
        text, count = SIMILARITY.subn(r"\1lncc2\2", text)
        if count != 1:
            raise ValueError(f"{name} of {SOURCE} has {count} settings 'similarity: lncc', not 1")
    return NOTE + text if name.endswith(".yaml") else text


def outdated() -> list[str]:
    """Return the names of the configs that differ from what would be generated."""
    folder = BUNDLES / TARGET / "configs"
    return [name for name in FILES if (folder / name).read_text("utf-8") != generated(name)]


def main(arguments: list[str] | None = None) -> int:
    """Write the configs, or report those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; report old files")
    check = parser.parse_args(arguments).check
    names = outdated()
    for name in names:
        if check:
            print(f"bundles/{TARGET}/configs/{name} is out of date; run {Path(__file__).name}")
        else:
            text = generated(name)
            (BUNDLES / TARGET / "configs" / name).write_text(text, encoding="utf-8")
    return int(check and bool(names))


if __name__ == "__main__":
    sys.exit(main())
