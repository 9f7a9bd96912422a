"""BIDS names for the files that a registration has written into its folder."""

from __future__ import annotations

from pathlib import Path

from zoo.io.bids import BidsOutputs, write_description, write_sidecar


def rename_to_bids(
    folder: Path, names: BidsOutputs, fixed: Path, moving: Path, version: str
) -> dict[str, str]:
    """Give the transforms and images in `folder` BIDS names; return the new name of each.

    The other files, such as result.json and the report, keep their names and are listed in
    .bidsignore.
    """
    renamed = {}
    for extension in (".nii.gz", ".h5"):
        renamed[f"transform{extension}"] = names.transform(extension)
        renamed[f"inverse{extension}"] = names.transform(extension, inverse=True)
    renamed["warped.nii.gz"] = names.warped()
    renamed["warped_labels.nii.gz"] = names.warped("dseg")
    renamed = {old: new for old, new in renamed.items() if (folder / old).is_file()}
    for old, new in renamed.items():
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)
    write_sidecar(folder / names.warped(extension=".json"), fixed, moving)
    rest = [path.name for path in folder.iterdir() if path.is_file()]
    write_description(folder, version, [*rest, "result.json"])
    return renamed
