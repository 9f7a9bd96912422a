"""`regzoo init`: write a dataset.json for a folder of images."""

from __future__ import annotations

from typing import Literal


def init(
    folder: str,
    *,
    modality: dict[str, str] | None = None,
    anatomy: str | None = None,
    pairing: Literal["intra", "inter"] | None = None,
    name: str | None = None,
) -> None:
    """Write a dataset.json for the images in a folder.

    The command understands BIDS names (sub-01_T1w), Learn2Reg names (NAME_0001_0000), and folders
    or name endings such as labels and mask. Several images of one case become pairs, with the first
    kind of image fixed; otherwise each image forms a pair with the next one. If a modality cannot
    be determined, the command stops and names the flag that supplies it.

    Examples:
        regzoo init data --modality.0 mr --anatomy brain

    Args:
        folder: The folder that contains the images.
        modality: The modality of slot 0 (fixed) or 1 (moving images): ct, cbct, mr, us or pet.
        anatomy: The anatomy that the images show, such as brain or lung.
        pairing: The pairing: intra if both images of a pair show the same person, else inter.
        name: The name of the dataset; by default the name of its folder.
    """
    from pathlib import Path

    from zoo.commands._shared import counted
    from zoo.datasets.discovery import describe_folder
    from zoo.errors import UserError
    from zoo.io.atomic import write_json
    from zoo.planning.anatomy import parse_anatomy

    target = Path(folder) / "dataset.json"
    if target.exists():
        raise UserError(f"{target} exists already; edit it, or remove it first")
    document = describe_folder(
        Path(folder),
        modality=modality,
        anatomy=parse_anatomy(anatomy) if anatomy else None,
        pairing=pairing,
        name=name,
    )
    write_json(target, document)
    modalities = ", ".join(f"slot {k} {v}" for k, v in document["modality"].items())
    pairs = counted(document["numRegistration_val"], "pair")
    print(f"{pairs} ({document['pairing']}; {modalities})")
    print(f"written to {target}; review it, then run: regzoo check {folder}")
