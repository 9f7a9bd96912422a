"""`regzoo init`: a dataset.json for loose files."""

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

    Understands BIDS names (sub-01_T1w), Learn2Reg's (NAME_0001_0000) and folders or endings such
    as labels and mask. Several images of one case become pairs, the first kind fixed; otherwise
    each image is paired with the next. What cannot be told is asked for by the flag to add.

    Examples:
        regzoo init data --modality.0 mr --anatomy brain

    Args:
        folder: the folder that holds the images.
        modality: of slot 0 (fixed images) and slot 1 (moving ones): ct, cbct, mr, us or pet.
        anatomy: what the images show, such as brain or lung.
        pairing: intra for pairs of one person, inter for pairs of two.
        name: what the dataset is called; by default like its folder.
    """
    from pathlib import Path

    from zoo.datasets.discovery import describe_folder
    from zoo.errors import UserError
    from zoo.io.atomic import write_json
    from zoo.planning.anatomy import parse_anatomy

    target = Path(folder) / "dataset.json"
    if target.exists():
        raise UserError(f"{target} is there already; edit it, or take it away first")
    document = describe_folder(
        Path(folder),
        modality=modality,
        anatomy=parse_anatomy(anatomy) if anatomy else None,
        pairing=pairing,
        name=name,
    )
    write_json(target, document)
    modalities = ", ".join(f"slot {k} {v}" for k, v in document["modality"].items())
    print(f"{document['numRegistration_val']} pairs ({document['pairing']}; {modalities})")
    print(f"written to {target}; look through it, then: regzoo check {folder}")
