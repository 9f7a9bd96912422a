"""What do several atlases gain over a single one, and how good is a template?

    PYTHONPATH=tools python -m benchmarks.groups DATA

DATA holds `anatomy_synthseg` and `brain_malf_oasis`. Brains of six persons are rendered in T1 from
label maps, and three real brains are read, all at 2 mm. Three rendered brains (`--targets`) and
every real brain are labelled by all others of their kind (`zoo.propagate`): by locally weighted
votes, by majority, and by each atlas alone. Then a template of the rendered brains is made
(`zoo.template`), and the labels of the same pairs of brains are warped through the template. The
tables are in OUT/tables.md. Results in OUT are kept; run the same command again to resume.

With `--weights` other weights of the votes are tried on the registrations in OUT.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

import zoo
from benchmarks.harness.rendered_heads import label_map, render
from benchmarks.harness.tables import heading, row
from zoo.atlases import local_weights
from zoo.atlases.voting import count_votes
from zoo.geometry import Transform, warp
from zoo.io.labels import read_labels
from zoo.io.transforms import read_transform
from zoo.io.volume import Volume, read_volume, write_volume
from zoo.losses.filters import gaussian_taps, separable_filter
from zoo.measures import dice_per_label, pool

PERSONS = (1, 2, 3, 4, 5, 6)
"""The label maps that are rendered. The weights of the votes were chosen on others (11 to 16)."""
REAL = ("1000", "1001", "1003")
SPACING = 2.0
ITERATIONS = 2


def main() -> None:
    """Measure both tools, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with the label maps and the real brains")
    parser.add_argument("--out", type=Path, default=Path("bench/groups"))
    parser.add_argument("--weights", action="store_true", help="try other weights of the votes")
    parser.add_argument("--targets", type=int, default=3, help="rendered brains to label")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.weights:
        print(weights_table(sorted((args.out / "labelled_rendered").glob("*/propagate.json"))))
        return
    start = time.process_time()
    rendered = write_rendered(args.data / "anatomy_synthseg", args.out / "rendered")
    real = write_real(args.data / "brain_malf_oasis", args.out / "real")
    parts = []
    for title, brains in (("rendered", rendered), ("real", real)):
        targets = brains[: args.targets]
        documents = labelled(brains, targets, args.out / f"labelled_{title}")
        parts += [f"{title} brains, {len(brains) - 1} atlases each\n", fusion_table(documents)]
        direct = mean(v for d in documents for v in d["dice"]["atlases"].values())
        if title == "rendered":
            made = zoo.template(
                brains[0].parent, out=args.out / "template", iterations=ITERATIONS, threads=1,
                model="mcbo", anatomy="brain", modality="mr",
            )  # fmt: skip
            parts += ["iterations of the template\n", iteration_table(made.document)]
            through = through_template(brains, targets, args.out / "template")
            parts += [pairs_text(direct, through)]
    parts += [f"{time.process_time() - start:.0f} s of processor time in this call\n"]
    (args.out / "tables.md").write_text("\n".join(parts))
    print("\n".join(parts))


def write_rendered(label_maps: Path, folder: Path) -> list[Path]:
    """Render the brains, unless they exist, and return their images."""
    images = [folder / f"person{person:02d}.nii.gz" for person in PERSONS]
    for person, image in zip(PERSONS, images, strict=True):
        if not labels_of(image).is_file():
            head = render(label_map(label_maps, person), "t1", person, stripped=True)
            brain = Volume(torch.from_numpy(head.image), head.grid, image)
            write_coarse(brain, Volume(torch.from_numpy(head.structures), head.grid, image), image)
    return images


def write_real(source: Path, folder: Path) -> list[Path]:
    """Write the real brains at 2 mm, unless they exist, and return their images."""
    images = [folder / f"brain{name}.nii.gz" for name in REAL]
    for name, image in zip(REAL, images, strict=True):
        if not labels_of(image).is_file():
            labels = read_labels(source / f"{name}_labels.nii.gz")
            write_coarse(read_volume(source / f"{name}_t1.nii.gz"), labels, image)
    return images


def labels_of(image: Path) -> Path:
    """Return the file of the labels of an image."""
    return image.with_name(image.name.replace(".nii.gz", "_labels.nii.gz"))


def write_coarse(brain: Volume, labels: Volume, image: Path) -> None:
    """Write an image, averaged to about 2 mm, and its labels at the nearest voxels."""
    image.parent.mkdir(parents=True, exist_ok=True)
    data, grid = pool(brain.data.float(), brain.grid, SPACING)
    nearest = warp(
        labels.data[None], labels.grid, grid, Transform.identity(), interpolation="nearest"
    )[0]
    write_volume(image, data, grid, torch.int16)
    write_volume(labels_of(image), nearest, grid)


def labelled(brains: Sequence[Path], targets: Sequence[Path], out: Path) -> list[dict[str, Any]]:
    """Label targets, which are some of the brains, by all others; return propagate.json of each."""
    made = zoo.propagate(
        brains[0].parent, targets, labels=[labels_of(image) for image in targets], out=out,
        threads=1, model="mcbo", anatomy="brain", modality="mr",
    )  # fmt: skip
    documents: list[dict[str, Any]] = made.document["targets"]
    return documents


def fusion_table(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the mean Dice of every target by the fused labels and by single atlases."""
    numbers = ["weighted", "majority", "best atlas", "mean atlas", "left out"]
    lines = [heading(["target"], numbers)]
    rows = []
    for document in documents:
        dice = document["dice"]
        single = list(dice["atlases"].values())
        rows.append([dice["weighted"]["mean"], dice["majority"]["mean"], max(single), mean(single)])
        cells = [f"{value:.3f}" for value in rows[-1]]
        name = Path(document["target"]).name.removesuffix(".nii.gz")
        lines.append(row([name, *cells, str(len(document["left_out"]))]))
    means = [f"{mean(column):.3f}" for column in zip(*rows, strict=True)]
    lines.append(row(["mean", *means, ""]))
    return "\n".join(lines) + "\n"


def iteration_table(document: Mapping[str, Any]) -> str:
    """Return the figures of the iterations of a template."""
    numbers = ["change", "bias mm", "deformation mm", "sharpness", "of subjects", "folding %"]
    lines = [heading(["iteration"], numbers)]
    for record in document["iterations"]:
        keys = ("change", "bias_mm", "deformation_mm", "sharpness", "sharpness_of_subjects")
        cells = [f"{record[key]:.4f}" if key in record else "" for key in keys]
        folding = record.get("folding_percent_mean")
        lines.append(
            row([str(record["iteration"]), *cells, "" if folding is None else f"{folding:.4f}"])
        )
    return "\n".join(lines) + "\n"


def through_template(brains: Sequence[Path], targets: Sequence[Path], folder: Path) -> float:
    """Return the mean Dice of the labels of all other brains on each target, warped through the
    template.
    """
    names = {image: image.name.removesuffix(".nii.gz") for image in brains}
    onto = {
        image: read_transform(folder / "transforms" / f"{name}.nii.gz")
        for image, name in names.items()
    }
    found = []
    for fixed in targets:
        truth = read_labels(labels_of(fixed))
        known = truth.data.to(torch.int32)
        wanted = sorted(set(known.unique().tolist()) - {0})
        back = read_transform(folder / "transforms" / f"{names[fixed]}_inverse.nii.gz")
        for moving in brains:
            if moving == fixed:
                continue
            labels = read_labels(labels_of(moving))
            chain = back.then(onto[moving], truth.grid)
            warped = warp(
                labels.data[None].to(torch.int32), labels.grid, truth.grid, chain,
                interpolation="nearest",
            )[0]  # fmt: skip
            scores = dice_per_label(warped, known, wanted)
            found.append(mean(value or 0.0 for value in scores.values()))
    return mean(found)


def weights_table(documents: Sequence[Path]) -> str:
    """Return the mean Dice of the labelled targets with other weights of the votes."""
    scores: dict[str, list[float]] = {}
    for path in documents:
        document = json.loads(path.read_text())
        target = read_volume(document["target"])
        known = read_labels(labels_of(target.path)).data.to(torch.int32)
        wanted = sorted(set(known.unique().tolist()) - {0})
        folders = [path.parent / "registrations" / row["name"] for row in document["atlases"]]
        labels = torch.stack(
            [read_labels(f / "warped_labels.nii.gz").data.to(torch.int32) for f in folders]
        )
        warped = [read_volume(f / "warped.nii.gz").data.float() for f in folders]
        for name, weights in alternatives(target, warped, (labels != 0).any(dim=0)).items():
            found = dice_per_label(count_votes(labels, weights)[0], known, wanted)
            scores.setdefault(name, []).append(mean(value or 0.0 for value in found.values()))
    lines = [heading(["weight of a vote"], ["mean Dice"])]
    lines += [row([name, f"{mean(values):.4f}"]) for name, values in scores.items()]
    return "\n".join(lines)


def alternatives(target: Volume, warped: Sequence[Tensor], region: Tensor) -> dict[str, Tensor]:
    """Return weights of the votes of all atlases, [N, X, Y, Z], by what they are made of."""
    found = {"equal": torch.ones(len(warped), *target.grid.shape)}
    for radius in (1.0, 1.5, 2.0, 4.0):
        weights = [local_weights(target.data, w, region, target.grid, radius) for w in warped]
        found[f"1 / (1 - r^2), patch {radius:g} mm"] = torch.stack(weights)
    for radius in (1.5, 4.0):
        squares = torch.stack([squared_difference(target, w, region, radius) for w in warped])
        for power in (1, 2):
            name = f"squared difference to the power -{power}, patch {radius:g} mm"
            found[name] = (squares + 1e-3) ** -power
    return found


def squared_difference(target: Volume, warped: Tensor, region: Tensor, radius: float) -> Tensor:
    """Return the squared difference in a Gaussian patch; its unit is the variance in the region."""
    one, two = (
        (image.float() - image.float()[region].mean()) / image.float()[region].std()
        for image in (target.data, warped)
    )
    taps = [gaussian_taps(radius / spacing) for spacing in target.grid.spacing]
    return separable_filter(((one - two) ** 2)[None, None], taps, edge="replicate")[0, 0]


def pairs_text(direct: float, through: float) -> str:
    """Return the mean Dice of pairs, registered directly and through the template."""
    return (
        f"mean Dice of the pairs: {direct:.3f} registered directly, {through:.3f} through "
        "the template\n"
    )


if __name__ == "__main__":
    main()
