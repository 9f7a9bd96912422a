"""Cohorts: many pairs, registered in this process or by the workers of a Dask scheduler."""

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.distribution import Distribution
from zoo.cohorts.in_process import run_in_process
from zoo.cohorts.jobs import (
    Cohort,
    Job,
    create_run_folder,
    locked_run_folder,
    plan_cohort,
    plan_of_run,
)
from zoo.cohorts.progress import CohortProgress
from zoo.cohorts.record import pending_jobs
from zoo.cohorts.registration import register_pending
from zoo.cohorts.summary import summary_text, write_summary

__all__ = [
    "Cohort",
    "CohortProgress",
    "Distribution",
    "Job",
    "create_run_folder",
    "locked_run_folder",
    "pending_jobs",
    "plan_cohort",
    "plan_of_run",
    "register_pending",
    "require_space",
    "run_in_process",
    "summary_text",
    "write_summary",
]
