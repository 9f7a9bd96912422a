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

    The command understands BIDS names (sub-01_T1w), Learn2Reg names (NAME_0001_0000), names with
    the modality (patient1_ct, patient1_mr) or the time point (pre and post, baseline and followup,
    ses-01 and ses-02), folders or name endings such as labels and mask, and DICOM series, whose
    headers tell the modality, the patient and the date. Several images of one patient become pairs,
    with the earlier image or else the first kind fixed; otherwise each image forms a pair with the
    next one. Series of several volumes, such as functional runs, are left out. What is left out is
    listed. If a modality cannot be determined, the command stops and names the flag that supplies
    it.

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
    from zoo.datasets.discovery import discover
    from zoo.errors import UserError
    from zoo.io.atomic import write_json
    from zoo.planning.anatomy import parse_anatomy

    target = Path(folder) / "dataset.json"
    if target.exists():
        raise UserError(f"{target} exists already; edit it, or remove it first")
    found = discover(
        Path(folder),
        modality=modality,
        anatomy=parse_anatomy(anatomy) if anatomy else None,
        pairing=pairing,
        name=name,
    )
    document = found.document
    write_json(target, document)
    modalities = ", ".join(f"slot {k} {v}" for k, v in document["modality"].items())
    pairs = counted(document["numRegistration_val"], "pair")
    print(f"{pairs} ({document['pairing']}; {modalities})")
    if found.left_out:
        print(f"left out: {counted(len(found.left_out), 'image')}")
        print("\n".join(f"  {name}: {why}" for name, why in sorted(found.left_out.items())))
    print(f"written to {target}; review it, then run: regzoo check {folder}")
