"""`regzoo report`: the report of a finished registration, with the interactive viewer."""

from __future__ import annotations

from typing import Literal


def report(folder: str, *, kind: Literal["full", "light"] = "full") -> None:
    """Write the report of a finished registration again, with the interactive viewer.

    The report is made from the images, the transform and result.json; nothing is registered again.
    FOLDER is the output folder of regzoo register, the folder of one pair of a run, or the folder
    of a run, whose pairs then all get a report. report.html and report.png are replaced. A run that
    is resumed keeps its pairs.

    Examples:
        regzoo report result
        regzoo report runs/mcbo/PAIR
        regzoo report runs/mcbo --kind light

    Args:
        folder: The results of a registration or of a run.
        kind: full (with the interactive viewer, up to 8 MiB per pair) or light (pictures only).
    """
    from zoo.pipelines.report import write_reports

    for page in write_reports(folder, kind=kind):
        print(f"Report written to {page}", flush=True)
