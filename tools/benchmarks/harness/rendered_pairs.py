"""Pairs of rendered heads of different persons, with exact labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.pairs import BenchPair
from benchmarks.harness.rendered_heads import Contrast, Cut, label_map, render, write_head


@dataclass(frozen=True)
class Rendering:
    """How a head is rendered. The seed of a rendering is the number of its person."""

    person: int
    contrast: Contrast
    stripped: bool = False
    cut: Cut | None = None

    @property
    def name(self) -> str:
        """The name of the image's file without its suffix."""
        words = [f"{self.person}", self.contrast, "stripped" if self.stripped else "", self.cut]
        return "_".join(word for word in words if word)


RENDERED: dict[str, tuple[Rendering, Rendering]] = {
    "brain_t1_t1_a": (Rendering(13, "t1", stripped=True), Rendering(14, "t1", stripped=True)),
    "brain_t1_t1_b": (Rendering(15, "t1", stripped=True), Rendering(16, "t1", stripped=True)),
    "brain_t1_t2": (Rendering(13, "t1", stripped=True), Rendering(15, "t2", stripped=True)),
    "brain_t1_flair": (Rendering(14, "t1", stripped=True), Rendering(16, "flair", stripped=True)),
    "head_t1_t1": (Rendering(14, "t1"), Rendering(15, "t1")),
    "head_t1_t1_cut": (Rendering(15, "t1", cut="neck"), Rendering(16, "t1", cut="neck")),
}
"""The fixed and the moving rendering of each pair: four of skull-stripped brains, two of heads."""


def rendered_pairs(label_maps: Path, folder: Path) -> list[BenchPair]:
    """Write the images of all pairs to a folder, unless they exist, and return the pairs.

    Without the folder of label maps there are none.
    """
    if not label_maps.is_dir():
        return []
    return [rendered_pair(name, *images, label_maps, folder) for name, images in RENDERED.items()]


def rendered_pair(
    name: str, fixed: Rendering, moving: Rendering, label_maps: Path, folder: Path
) -> BenchPair:
    """Write the images of a pair to a folder, unless they exist, and return the pair."""
    fixed_image, fixed_labels = _files(fixed, label_maps, folder)
    moving_image, moving_labels = _files(moving, label_maps, folder)
    return BenchPair(
        f"rendered_{name}",
        fixed_image,
        moving_image,
        fixed_labels,
        moving_labels,
        modality=(fixed.contrast, moving.contrast),
        pairing="inter",
    )


def _files(rendering: Rendering, label_maps: Path, folder: Path) -> tuple[Path, Path]:
    """Return the files of an image and of its labels, which are written unless they exist."""
    image = folder / f"{rendering.name}.nii.gz"
    labels = folder / f"{rendering.name}_labels.nii.gz"
    if not labels.is_file():  # written last
        folder.mkdir(parents=True, exist_ok=True)
        volume = label_map(label_maps, rendering.person)
        head = render(
            volume, rendering.contrast, rendering.person, rendering.stripped, rendering.cut
        )
        write_head(head, image, labels)
    return image, labels
