"""What fine-tuning the compact UniReg gives on little data (docs/experiments/fine-tuning.md).

    python tools/benchmark_finetune.py brains --data FOLDER --out runs/finetune
    python tools/benchmark_finetune.py phantoms --out runs/finetune

`brains` leaves one subject of the MALF brains out at a time, trains on the two pairs of the others
and measures on the two pairs with the third as fixed image; `phantoms` trains on a contrast that
the weights never saw. Prints the figures of every validation, and where the results lie.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from zoo import cli
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

SUBJECTS = ("1000", "1001", "1003")
PHANTOMS, TRAINED = 10, 6
FIGURES = ("dice_after", "folding_percent")
BRAINS = ("--epochs", "2", "--set", "epoch_length=30", "--set", "learning_rate=0.0003")
CONTRAST = (
    *("--epochs", "2", "--set", "epoch_length=40", "--set", "learning_rate=0.0005"),
    *("--set", "size=[80,80,80]"),
)

Rows = Iterator[tuple[Path, Path, Path, Path, str]]


def main() -> None:
    """Fine-tune on what is named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=("brains", "phantoms"))
    parser.add_argument("--data", type=Path, help="the folder that holds brain_malf_oasis")
    parser.add_argument("--left-out", choices=SUBJECTS, action="append", help="default all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.kind == "phantoms":
        run("phantoms", arguments.out, phantoms(arguments.out), CONTRAST, arguments.threads)
        return
    if arguments.data is None:
        parser.error("brains are read from --data FOLDER")
    for left_out in arguments.left_out or SUBJECTS:
        pairs = brains(arguments.data.absolute() / "brain_malf_oasis", left_out)
        run(f"without-{left_out}", arguments.out, pairs, BRAINS, arguments.threads)


def brains(folder: Path, left_out: str) -> Rows:
    """Yield fixed, moving, their labels and the split of the MALF brains."""
    for fixed, moving in permutations(SUBJECTS, 2):
        if moving == left_out:
            continue
        images = (folder / f"{subject}_t1.nii.gz" for subject in (fixed, moving))
        labels = (folder / f"{subject}_labels.nii.gz" for subject in (fixed, moving))
        yield *images, *labels, "val" if fixed == left_out else "train"  # type: ignore[misc]


def phantoms(folder: Path) -> Rows:
    """Make phantoms of two contrasts, and yield them as `brains` does."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(PHANTOMS):
        pair = make_pair(seed, shape=(80, 80, 80), contrasts=("t1", "t2"))
        paths = [folder / f"{seed}_{name}.nii.gz" for name in ("t1", "t2", "l1", "l2")]
        images = (pair.fixed, pair.moving, pair.fixed_labels, pair.moving_labels)
        for path, data in zip(paths, images, strict=True):
            write_volume(path, data, pair.fixed_grid)
        yield *paths, "train" if seed < TRAINED else "val"  # type: ignore[misc]


def run(name: str, out: Path, rows: Rows, recipe: tuple[str, ...], threads: int) -> None:
    """Plan, train and print the figures."""
    study = out / name
    study.mkdir(parents=True, exist_ok=True)
    header = ("fixed", "moving", "fixed_labels", "moving_labels", "split")
    with (study / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for *paths, split in rows:
            writer.writerow([*(linked(study, path) for path in paths), split])
    plan, model = study / "plan.json", study / "model"
    known = ("--model", "unireg", "--anatomy", "brain", "--pairing", "inter", "--modality.0", "mr")
    require(cli.run(["plan", str(study), "-o", str(plan), *known]))
    started = time.monotonic()
    more = ("--from", "compact", "--device", "cpu", "--threads", str(threads), *recipe)
    require(cli.run(["finetune", str(plan), "--out", str(model), *more]))
    seconds = time.monotonic() - started
    with (model / "train" / "figures.csv").open() as file:
        found = list(csv.DictReader(file))
    for row in found:
        figures = "  ".join(f"{n} {float(row[n]):.4f}" for n in FIGURES)
        print(f"{name}  step {row['step']}  {figures}", flush=True)
    print(f"{name}  {seconds:.0f} s, {model}", flush=True)


def linked(study: Path, path: Path) -> str:
    """Put a hard link or a copy into the study's folder, since a dataset holds its own files."""
    target = study / path.name
    if not target.exists():
        try:
            target.hardlink_to(path)
        except OSError:
            target.write_bytes(path.read_bytes())
    return target.name


def require(code: int) -> None:
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
