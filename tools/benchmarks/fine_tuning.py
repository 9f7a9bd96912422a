"""How much does fine-tuning the compact UniReg gain on little data?

    PYTHONPATH=tools python -m benchmarks.fine_tuning brains --data FOLDER --out runs/finetune
    PYTHONPATH=tools python -m benchmarks.fine_tuning phantoms --out runs/finetune
    PYTHONPATH=tools python -m benchmarks.fine_tuning necks --data FOLDER --out runs/finetune

`brains` leaves out one subject of the MALF brains at a time, trains on the two pairs of the others
and measures on the two pairs whose fixed image is the subject left out. `phantoms` trains on a
contrast that the weights have never seen. `necks` trains on pairs of 40 patients, drawn at random,
and measures on eight pairs of other patients; `--epochs` and `--set epoch_length=STEPS` say for how
long, and the same command with more epochs continues the training. The figures of each validation
are printed, and the folder of the results.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from benchmarks.harness.measurement import Timer
from zoo import cli
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

SUBJECTS = ("1000", "1001", "1003")
PHANTOMS, TRAINING_PHANTOMS = 10, 6
FIGURES = ("dice_after", "folding_percent")
BRAINS = ("--epochs", "2", "--set", "epoch_length=30", "--set", "learning_rate=0.0003")
NEW_CONTRAST = (
    *("--epochs", "2", "--set", "epoch_length=40", "--set", "learning_rate=0.0005"),
    *("--set", "size=[80,80,80]"),
)
NECKS = ("--set", "learning_rate=0.00005", "--set", "draw=random")
TRAINING_NECKS, VALIDATION_NECKS = 40, 16
BRAIN = ("--anatomy", "brain", "--pairing", "inter", "--modality.0", "mr")
NECK = ("--anatomy", "head-neck", "--pairing", "inter", "--modality.0", "ct")

Rows = Iterator[tuple[Path, Path, Path, Path, str]]
"""Fixed and moving image, fixed and moving labels, and the split, "train" or "val"."""


def main() -> None:
    """Fine-tune on brains or on phantoms."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("brains", "phantoms", "necks"))
    parser.add_argument("--data", type=Path, help="the folder of the data sets")
    parser.add_argument("--model", default="unireg", help="the model to fine-tune on necks")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the training on necks")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of the training on necks, KEY=VALUE"
    )
    parser.add_argument(
        "--left-out", choices=SUBJECTS, action="append", help="may be repeated; default: each once"
    )
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.kind == "phantoms":
        facts = ("--model", "unireg", *BRAIN)
        fine_tune("phantoms", args.out, phantoms(args.out), facts, NEW_CONTRAST, args.threads)
        return
    if args.data is None:
        parser.error(f"{args.kind} needs the folder of the images: add --data FOLDER")
    if args.kind == "necks":
        options = (*NECKS, "--epochs", str(args.epochs))
        options += tuple(word for setting in args.set for word in ("--set", setting))
        facts = ("--model", args.model, *NECK)
        name = f"necks-{args.model}"
        fine_tune(name, args.out, necks(args.data.absolute()), facts, options, args.threads)
        return
    for left_out in args.left_out or SUBJECTS:
        pairs = brains(args.data.absolute() / "brain_malf_oasis", left_out)
        facts = ("--model", "unireg", *BRAIN)
        fine_tune(f"without-{left_out}", args.out, pairs, facts, BRAINS, args.threads)


def brains(folder: Path, left_out: str) -> Rows:
    """Yield the pairs of the MALF brains; the moving image is never the subject left out."""
    for fixed, moving in permutations(SUBJECTS, 2):
        if moving == left_out:
            continue
        images = (folder / f"{subject}_t1.nii.gz" for subject in (fixed, moving))
        labels = (folder / f"{subject}_labels.nii.gz" for subject in (fixed, moving))
        yield *images, *labels, "val" if fixed == left_out else "train"  # type: ignore[misc]


def phantoms(folder: Path) -> Rows:
    """Write phantoms of two contrasts and yield them as pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(PHANTOMS):
        pair = make_pair(seed, shape=(80, 80, 80), contrasts=("t1", "t2"))
        paths = [folder / f"{seed}_{name}.nii.gz" for name in ("t1", "t2", "l1", "l2")]
        images = (pair.fixed, pair.moving, pair.fixed_labels, pair.moving_labels)
        for path, data in zip(paths, images, strict=True):
            write_volume(path, data, pair.fixed_grid)
        yield *paths, "train" if seed < TRAINING_PHANTOMS else "val"  # type: ignore[misc]


def necks(data: Path) -> Rows:
    """Yield pairs of neighbours in the lists of patients, those that are never trained on last."""
    for folder, count, split in (
        ("hn_openkbp_train", TRAINING_NECKS, "train"),
        ("hn_openkbp_val", VALIDATION_NECKS, "val"),
    ):
        images = sorted((data / folder).glob("*_ct.nii.gz"))[:count]
        labels = [p.with_name(p.name.replace("_ct", "_oars")) for p in images]
        for k in range(0, len(images) - 1, 2):
            yield images[k], images[k + 1], labels[k], labels[k + 1], split


def fine_tune(
    name: str,
    out: Path,
    rows: Rows,
    facts: tuple[str, ...],
    options: tuple[str, ...],
    threads: int,
) -> None:
    """Plan the pairs with `facts`, fine-tune a model and print the figures of each validation."""
    study = out / name
    write_study(study, rows)
    plan, model = study / "plan.json", study / "model"
    require_success(cli.run(["plan", str(study), "-o", str(plan), *facts]))
    with Timer() as timer:
        words = ["finetune", str(plan), "--out", str(model), "--from", "compact"]
        words += ["--device", "cpu", "--threads", str(threads), *options]
        require_success(cli.run(words))
    with (model / "train" / "figures.csv").open() as file:
        validations = list(csv.DictReader(file))
    for row in validations:
        figures = "  ".join(f"{n} {float(row[n]):.4f}" for n in FIGURES)
        print(f"{name}  step {row['step']}  {figures}", flush=True)
    print(f"{name}  {timer.seconds:.0f} s, {model}", flush=True)


def write_study(study: Path, rows: Rows) -> None:
    """Write a folder with the images, the labels and a pairs.csv."""
    study.mkdir(parents=True, exist_ok=True)
    with (study / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("fixed", "moving", "fixed_labels", "moving_labels", "split"))
        for *paths, split in rows:
            writer.writerow([*(link_or_copy(path, study) for path in paths), split])


def link_or_copy(path: Path, folder: Path) -> str:
    """Put a hard link to a file, or a copy, into a folder and return its name.

    A dataset contains its own files; paths that lead out of its folder are refused.
    """
    target = folder / path.name
    if not target.exists():
        try:
            target.hardlink_to(path)
        except OSError:
            target.write_bytes(path.read_bytes())
    return target.name


def require_success(code: int) -> None:
    """Exit with the code of a command unless it is 0."""
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    main()
