"""`regzoo propagate`: label an image by several registered atlases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from zoo.commands._shared import (
    counted,
    print_json,
    refuse_together,
    report_lines,
    stopped,
    uncollected_imports,
)
from zoo.pipelines.groups.options import PropagationOptions
from zoo.pipelines.signatures import about, command_taking


@dataclass(frozen=True)
class Options(PropagationOptions):
    """The request of the command: that of a propagation, and what is printed about it."""

    _: KW_ONLY
    json: bool = field(
        default=False,
        metadata=about("Print one JSON document: the folder of the results and propagate.json."),
    )
    quiet: bool = field(default=False, metadata=about("Print errors and left-out atlases only."))


@command_taking(Options)
def propagate(options: Options) -> int:
    """Label an image by the labels of several atlases.

    Every atlas is registered to the target, and its labels are warped. At each voxel the atlases
    vote: with equal votes (labels_majority.nii.gz), and with votes that are weighted by how well
    the image of the atlas agrees with the target around the voxel (labels.nii.gz). The share of the
    weights that the winning label has, from 0 to 1, is confidence.nii.gz. propagate.json has the
    volume and the agreement of each label and, with --labels, the Dice overlap.

    An atlas whose registration fails is left out, and so is a label that only one atlas has; both
    are named. Run the same command again to resume, or after atlases were added.

    Examples:
        regzoo propagate atlases t1.nii.gz --out result
        regzoo propagate atlases a.nii.gz,b.nii.gz --out results --workers 4
        regzoo propagate atlases t1.nii.gz --out result --labels true_labels.nii.gz
    """
    refuse_together(json=options.json, quiet=options.quiet)
    with uncollected_imports():
        from zoo.pipelines.groups.propagate import propagate_labels
        from zoo.pipelines.groups.registrations import left_out_text

    made = propagate_labels(options, report=report_lines(options.json or options.quiet))
    if made.stop_signal is not None:
        return stopped(made.stop_signal)
    documents = made.document.get("targets", [made.document])
    if options.json:
        print_json({"folder": str(made.folder), **made.document})
    elif not options.quiet:
        print("\n".join(described(document) for document in documents))
        print(f"Results written to {made.folder}")
    left_out = [line for document in documents for line in left_out_text(document["left_out"])]
    for line in left_out:
        report_lines()(line)
    return 1 if left_out else 0


def described(document: Mapping[str, Any]) -> str:
    """Return the outcome for one target as text."""
    atlases = counted(len(document["atlases"]), "atlas", "atlases")
    labels = counted(len(document["labels"]), "label")
    lines = [f"{document['target']}: {labels} from {atlases}"]
    if document["labels_left_out"]:
        numbers = ", ".join(map(str, document["labels_left_out"]))
        lines.append(f"labels that only one atlas has were left out: {numbers}")
    if (dice := document.get("dice")) is not None:
        best = dice["best_atlas"]
        lines.append(
            f"mean Dice: weighted {dice['weighted']['mean']:.3f}, majority "
            f"{dice['majority']['mean']:.3f}, best single atlas {dice['atlases'][best]:.3f} "
            f"({best})"
        )
    return "\n".join(lines)
