import pytest

from zoo import UserError
from zoo.cohorts.progress import CohortProgress, format_duration
from zoo.cohorts.record import describe_failure, failure_of


def test_settled_jobs_are_reported_and_failures_recorded(cohort):
    """One of the three jobs was finished before: it counts, and it is not reported."""
    lines = []
    _, two, three = cohort.jobs
    progress = CohortProgress(cohort, 2, lines.append)
    progress.settle(two, None)
    progress.settle(three, describe_failure(UserError("broken")))
    assert lines[0].startswith(f"[2/3] {two.name}: done; about ")
    assert lines[1:] == [f"[3/3] {three.name}: failed: broken"]
    assert failure_of(two) is None
    assert failure_of(three)["reason"] == "broken"


@pytest.mark.parametrize(("seconds", "text"), [(9, "9 s"), (600, "10 min"), (12000, "3 h 20 min")])
def test_a_duration_has_a_suitable_unit(seconds, text):
    assert format_duration(seconds) == text
