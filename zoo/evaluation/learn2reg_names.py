"""The file names of displacement fields in a Learn2Reg submission."""

from __future__ import annotations

from pathlib import Path

from zoo.datasets.names import stem
from zoo.errors import UserError


def learn2reg_name(fixed: Path, moving: Path) -> str:
    """Return the name of a pair's field by the challenge's rule, without a suffix.

    The name is disp_FIXED_MOVING. An image called NAME_CASE_MODALITY contributes
    CASE_MODALITY, any other image its name without the suffix.
    """
    return f"disp_{_image_part(fixed)}_{_image_part(moving)}"


def find_learn2reg_field(folder: Path, fixed: Path, moving: Path) -> Path:
    """Return the file in `folder` with the Learn2Reg field of a pair.

    The full names of the images are accepted as well. So are names without the modalities, if both
    images have the same modality or if they are 0000 and 0001.
    """
    name = learn2reg_name(fixed, moving)
    names = [name, f"disp_{stem(fixed)}_{stem(moving)}"]
    numbers = name.split("_")[1:]
    if len(numbers) == 4 and (numbers[1] == numbers[3] or numbers[1::2] == ["0000", "0001"]):
        names.append(f"disp_{numbers[0]}_{numbers[2]}")
    candidates = [folder / f"{n}{suffix}" for n in names for suffix in (".nii.gz", ".npz")]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise UserError(
            f"{folder} has no {name}.nii.gz or {name}.npz; the folder must hold the field of every "
            "pair"
        )
    return path


def _image_part(image: Path) -> str:
    """Return CASE_MODALITY of NAME_CASE_MODALITY, or the whole name."""
    parts = stem(image).split("_")
    numbered = len(parts) > 2 and all(part.isdigit() for part in parts[-2:])
    return "_".join(parts[-2:]) if numbered else stem(image)
