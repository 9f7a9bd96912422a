"""The single images of a dataset or of a folder, for tools that treat a group of images alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.datasets.dataset import Dataset
from zoo.datasets.discovery.images import find_images
from zoo.datasets.names import stem
from zoo.datasets.reading import read_dataset
from zoo.errors import UserError
from zoo.io.files import AnyPath


@dataclass(frozen=True)
class Member:
    """An image of a group, and its label map if there is one. The `name` is unique in the group."""

    name: str
    image: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Group:
    """The images of a group, and what its dataset declares about them."""

    members: tuple[Member, ...]
    anatomy: str | None = None
    modality: str | None = None


def read_group(source: AnyPath) -> Group:
    """Return the images of a dataset, of all splits, or those below a folder without a dataset.

    Of a dataset with several slots, such as a CT and an MR of every patient, these are the images
    of the slot of the fixed images, so that all have one contrast.
    """
    folder = Path(source)
    if folder.is_dir() and not _describes_dataset(folder):
        images, _ = find_images(folder)
        found = [(i.name, i.labels) for i in images]
        return Group(_members(folder, found))
    dataset = read_dataset(source)
    _refuse_faulty(dataset)
    slots = dataset.slots()
    slot = dataset.fixed_slot if dataset.fixed_slot in slots else next(iter(slots))
    items = [dataset.by_image[image] for image in slots[slot]]
    members = _members(dataset.root, [(item.image, item.labels) for item in items])
    return Group(members, dataset.anatomy, dataset.modality.get(slot))


def _describes_dataset(folder: Path) -> bool:
    names = ("dataset.json", "pairs.csv")
    return any((folder / n).exists() for n in names) or any(folder.glob("*dataset*.json"))


def _refuse_faulty(dataset: Dataset) -> None:
    """Raise `UserError` if the list of files has an error, so that no image is missing."""
    for problem in dataset.problems:
        if problem.level == "error":
            raise UserError(
                f"{dataset.file}: {problem}; for a full list run regzoo check {dataset.root}"
            )


def _members(folder: Path, files: list[tuple[str, str | None]]) -> tuple[Member, ...]:
    """Return the members, named after their files, or after their paths where names repeat."""
    names = [stem(image) for image, _ in files]
    unique = len({name.casefold() for name in names}) == len(names)
    return tuple(
        Member(
            name if unique else image.removeprefix("./").replace("/", "_").removesuffix(".gz"),
            (folder / image).absolute(),
            None if labels is None else (folder / labels).absolute(),
        )
        for name, (image, labels) in zip(names, files, strict=True)
    )
