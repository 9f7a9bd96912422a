"""Results of a cohort without a registration."""

from zoo.cohorts.jobs import STATE_FOLDER
from zoo.cohorts.record import RESULT
from zoo.io.atomic import replace_folder, write_json


def write_result(cohort, job, quality="ok", warnings=(), **figures):
    """Write the result of a job as a worker does."""
    folder = cohort.folder / STATE_FOLDER / "part"
    folder.mkdir()
    result = {"content": cohort.digest(job), "figures": figures, "seconds": {"all": 2.0}}
    result |= {"quality": quality, "warnings": list(warnings)}
    write_json(folder / RESULT, result)
    replace_folder(folder, job.folder)
