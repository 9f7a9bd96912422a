"""Each job is claimed by one process, and the jobs of a dead process are claimed by another."""

import subprocess
import sys
import time

from support.cohort_cases import write_result

from zoo.cohorts.jobs import STATE_FOLDER, pending_jobs
from zoo.cohorts.locks import claim, claimed_jobs, release, was_started
from zoo.cohorts.processes import ProcessRank
from zoo.runtime.signals import StopSignal


def test_processes_begin_at_different_jobs_and_claim_each_job_once(cohort):
    pending = pending_jobs(cohort)
    one = claimed_jobs(cohort, pending, StopSignal(), ProcessRank(0, 2))
    other = claimed_jobs(cohort, pending, StopSignal(), ProcessRank(1, 2))
    claimed = [next(one), next(other), next(one)]
    assert sorted(job.name for job, _ in claimed) == [job.name for job in cohort.jobs]
    assert [job for job, _ in claimed[:2]] == [cohort.jobs[0], cohort.jobs[1]]
    for job, lock in claimed:
        write_result(cohort, job)
        release(lock)
    assert next(one, None) is None
    assert next(other, None) is None


def test_a_job_that_a_process_died_at_is_claimed_last(cohort):
    first, *others = cohort.jobs
    claim(first, cohort).release()  # as the operating system does when a process dies
    assert was_started(first, cohort)
    order = []
    pending = pending_jobs(cohort)
    for job, lock in claimed_jobs(cohort, pending, StopSignal(), ProcessRank()):
        order.append(job)
        write_result(cohort, job)
        release(lock)
    assert order == [*others, first]
    assert not was_started(first, cohort)


def test_no_job_is_claimed_after_a_stop_was_requested(cohort):
    stop = StopSignal()
    jobs = claimed_jobs(cohort, pending_jobs(cohort), stop, ProcessRank())
    next(jobs)
    stop.number = 15
    assert next(jobs, None) is None


HOLD = """
import sys, time
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_job_of_a_killed_process_is_claimed_within_seconds(cohort):
    job = cohort.jobs[0]
    claim(job, cohort).release()
    lock = cohort.folder / STATE_FOLDER / "locks" / f"{job.name}.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        assert claim(job, cohort) is None
        waiting = claimed_jobs(cohort, {job: None}, StopSignal(), ProcessRank())
        holder.kill()
        started = time.monotonic()
        claimed, _ = next(waiting)
        assert claimed == job
        assert time.monotonic() - started < 5
