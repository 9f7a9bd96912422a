import pytest
from support.cohort_cases import write_result

from zoo import UserError
from zoo.cohorts.jobs import pending_jobs
from zoo.cohorts.progress import CohortProgress, format_duration, progress_reported
from zoo.cohorts.worker import record_failure


def test_jobs_that_other_processes_settle_are_reported_once(cohort):
    lines = []
    one, two, three = cohort.jobs
    progress = CohortProgress(cohort, pending_jobs(cohort), lines.append)
    write_result(cohort, two)
    progress.check()
    record_failure(cohort, one, UserError("broken"))
    progress.check()
    assert len(lines) == 2
    assert lines[0].startswith(f"[1/3] {two.name}: done; about ")
    assert lines[1].startswith(f"[2/3] {one.name}: failed: broken; about ")
    write_result(cohort, three)
    progress.check()
    assert lines[2:] == [f"[3/3] {three.name}: done"]


def test_jobs_that_were_finished_before_count_but_are_not_reported(cohort):
    lines = []
    write_result(cohort, cohort.jobs[0])
    with progress_reported(cohort, pending_jobs(cohort), lines.append):
        write_result(cohort, cohort.jobs[1])
    assert [line.split(":")[0] for line in lines] == [f"[2/3] {cohort.jobs[1].name}"]


@pytest.mark.parametrize(("seconds", "text"), [(9, "9 s"), (600, "10 min"), (12000, "3 h 20 min")])
def test_a_duration_has_a_suitable_unit(seconds, text):
    assert format_duration(seconds) == text
