"""`regzoo template`: the mean shape and the mean appearance of a group of images."""

from __future__ import annotations

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
from zoo.pipelines.groups.options import TemplateOptions
from zoo.pipelines.signatures import about, command_taking


@dataclass(frozen=True)
class Options(TemplateOptions):
    """The request of the command: that of a template, and what is printed about it."""

    _: KW_ONLY
    json: bool = field(
        default=False,
        metadata=about("Print one JSON document: the folder of the results and template.json."),
    )
    quiet: bool = field(default=False, metadata=about("Print errors and left-out images only."))


@command_taking(Options)
def template(options: Options) -> int:
    """Make a template of a group of images of one contrast.

    The images are aligned in the space between them, and averaged. Then every image is registered
    to the average, the warped images are averaged, and the inverse of the mean deformation is
    applied, so that the template has the mean shape of the group and not that of one image; this is
    repeated. Writes template.nii.gz, the transforms from the template to every subject and back
    (transforms/), the labels by majority (labels.nii.gz) if the subjects have labels, and
    template.json with the figures of each iteration.

    Run the same command again to resume: finished registrations and iterations are kept. An image
    whose registration fails is left out of that iteration and named.

    Examples:
        regzoo template data --out atlas
        regzoo template data --out atlas --iterations 6 --spacing 2 --workers 4
        regzoo template folder --out atlas --modality mr --anatomy brain
    """
    refuse_together(json=options.json, quiet=options.quiet)
    with uncollected_imports():
        from zoo.pipelines.groups.registrations import left_out_text
        from zoo.pipelines.groups.template import make_template

    made = make_template(options, report=report_lines(options.json or options.quiet))
    if made.stop_signal is not None:
        return stopped(made.stop_signal)
    if options.json:
        print_json({"folder": str(made.folder), **made.document})
    elif not options.quiet:
        print(described(made.document))
        print(f"Results written to {made.folder}")
    for line in left_out_text(made.document["left_out"]):
        report_lines()(line)
    return 1 if made.document["left_out"] else 0


def described(document: dict[str, Any]) -> str:
    """Return the figures of a template as text: one line per iteration."""
    subjects = counted(len(document["subjects"]), "subject")
    lines = [f"template of {subjects}: {document['grid']}"]
    for row in document["iterations"]:
        parts = [f"sharpness {row['sharpness']:.4f} of {row['sharpness_of_subjects']:.4f}"]
        if "bias_mm" in row:
            parts.append(f"distance from the mean shape {row['bias_mm']:.3f} mm")
            parts.append(f"change {row['change']:.3f}")
        lines.append(f"iteration {row['iteration']}: {', '.join(parts)}")
    return "\n".join(lines)
