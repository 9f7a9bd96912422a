"""The folder of a small run, made by the commands."""

import shutil
from pathlib import Path

from support.command_line import run as command
from support.quick_registrations import WORDS
from zoo.io.atomic import write_json
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair


def finished_run(folder: Path) -> Path:
    """Make a run of the tiny pairs a1_a2, b1_b2 and c1_c2; the last could not be registered."""
    rows = ["fixed,moving"]
    for seed, letter in enumerate("abc"):
        made = make_pair(seed, shape=(20, 20, 20))
        for number, side in ((1, "fixed"), (2, "moving")):
            path = folder / "data" / f"{letter}{number}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            write_volume(path, getattr(made, side), getattr(made, f"{side}_grid"))
        rows.append(f"{letter}1.nii.gz,{letter}2.nii.gz")
    (folder / "data" / "pairs.csv").write_text("\n".join(rows) + "\n")
    words = ["plan", folder / "data", "--out", folder / "plan.json", "--accept-guess"]
    assert command(*words, "--model", "mcbo", "--effort", "fast", *WORDS) == 0
    out = folder / "run"
    assert command("run", folder / "plan.json", "--out", out, "--report", "light") == 0
    shutil.rmtree(out / "c1_c2")
    (out / "c1_c2").mkdir()
    write_json(out / "c1_c2" / "failure.json", {"name": "c1_c2", "reason": "c1 is damaged"})
    return out
