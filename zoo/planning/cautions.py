"""Cautions: what a user should know of a plan before trusting its result."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.datasets.headers import DICOM_SLICES
from zoo.hub.specs import ModelSpec
from zoo.planning.evidence import Evidence
from zoo.planning.presets import Preset
from zoo.planning.rules import signs_disagree, two_contrasts

FIELD_RATIO = 1.5
"""Ratio of the fields of view above which one size for both images distorts the comparison."""
ANISOTROPY = 3.0
"""Ratio of the longest to the shortest side of a voxel above which resizing loses detail."""
COARSE_MM = 2.5
"""Voxel size of the working grid above which a network sees too little detail."""


def cautions(evidence: Evidence, preset: Preset, spec: ModelSpec) -> Iterator[str]:
    """Yield the cautions for a plan."""
    problems = evidence.fingerprint.get("problems", ())
    errors = [problem for problem in problems if problem.get("level") == "error"]
    if errors:
        first = f"{errors[0]['file']} {errors[0]['what']}"
        number = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        yield f"{number} in the data, the first: {first}; regzoo check lists them all"
    for problem in problems:
        if problem.get("id") == DICOM_SLICES:
            yield f"{problem['file']}: {problem['what']}"
    if spec.learned and spec.name not in preset.trained:
        yield untrained(spec.name, preset.key)
    yield from _modalities(evidence)
    if spec.planning.working_grid.kind == "size":
        yield from _resizing(evidence, max(spec.planning.defaults["size"]))
    if spec.planning.search_voxels is not None:
        yield from _search_range(evidence, spec, spec.planning.search_voxels)
    if evidence.fingerprint["pairs"].get("masks_on_both"):
        yield "masks on both sides restrict where images are compared; they do not blank the images"


def untrained(model: str, preset: str) -> str:
    """Return the caution that a model was not trained on the pairs of a preset."""
    return f"experimental: {model} was not trained on pairs like these ({preset})"


def for_own_training(
    cautions: list[str], model: str, preset: str, own: str, trained_on: str
) -> list[str]:
    """Return the cautions of a plan for a model of one's own that was trained further.

    Args:
        cautions: Those of the plan for the `model` of the zoo that was trained further.
        model: The name of that model.
        preset: The preset of the plan.
        own: The name of the own model.
        trained_on: The preset of the pairs that the own model was trained on.
    """
    general = untrained(model, preset)
    if general not in cautions:
        return cautions
    others = [caution for caution in cautions if caution != general]
    if trained_on == preset:
        return others
    return [
        f"experimental: {own} was trained on pairs of {trained_on}, and these are {preset}",
        *others,
    ]


def _modalities(evidence: Evidence) -> Iterator[str]:
    """Yield where the values of the images contradict what is declared."""
    for side, belief in (("fixed", evidence.fixed), ("moving", evidence.moving)):
        if belief.get("conflict"):
            declared, shown = belief["declared"], belief["evidence"]
            yield (
                f"the {side} images are declared as {declared}, but their values contradict that: "
                f"{shown}"
            )
    same = evidence.fixed["value"] == evidence.moving["value"] and not two_contrasts(evidence)
    if same and signs_disagree(evidence):
        sign = evidence.alignment["sign"]
        yield f"declared as one contrast, but local correlations disagree in sign ({sign:.2f})"


def _resizing(evidence: Evidence, size: int) -> Iterator[str]:
    """Yield what resizing to `size` voxels along an axis does to these images."""
    ratio = evidence.fingerprint["pairs"].get("largest_field_ratio")
    if ratio is not None and ratio > FIELD_RATIO:
        yield (
            f"the fields of view differ by a factor of {ratio:.2g}; --set crop=true restricts both "
            "to the shared part"
        )
    for side in (0, 1):
        channel = evidence.channel(side)
        anisotropy = channel.get("largest_anisotropy", 1)
        if anisotropy > ANISOTROPY:
            slot = evidence.slots[side]
            yield f"slot {slot}: voxels are up to {anisotropy:.2g} times as long as wide"
        if "field_mm" in channel:
            step = max(channel["field_mm"]["p100"]) / size
            if step > COARSE_MM:
                yield (
                    f"slot {evidence.slots[side]}: resized to {size} voxels along an axis, a voxel "
                    f"is {step:.2g} mm wide"
                )


def _search_range(evidence: Evidence, spec: ModelSpec, voxels: int) -> Iterator[str]:
    """Yield whether displacements are larger than a solver's search range of `voxels`."""
    displacement = evidence.alignment.get("largest_displacement_mm")
    spacing = evidence.channel(0).get("spacing_mm")
    if displacement is None or not spacing:
        return
    reach = voxels * min(spacing["p0"])
    if displacement > reach:
        by_points = evidence.alignment.get("by_points")
        distance = "experimental: key points are" if by_points else "the bodies are"
        yield (
            f"{distance} up to {displacement:.0f} mm apart, and {spec.title} searches {reach:.0f} "
            "mm on either side: the initial affine alignment has to bring them closer"
        )
