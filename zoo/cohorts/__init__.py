"""Cohorts: many pairs, registered by one or several processes that share a folder."""

from zoo.cohorts.disk_space import require_space
from zoo.cohorts.jobs import (
    Cohort,
    Job,
    create_run_folder,
    pending_jobs,
    plan_cohort,
    plan_of_run,
)
from zoo.cohorts.processes import (
    ProcessRank,
    device_of,
    local_world_size,
    rank_from_environment,
    threads_per_process,
)
from zoo.cohorts.runner import run_in_process, run_workers
from zoo.cohorts.summary import summary_text, write_summary

__all__ = [
    "Cohort",
    "Job",
    "ProcessRank",
    "create_run_folder",
    "device_of",
    "local_world_size",
    "pending_jobs",
    "plan_cohort",
    "plan_of_run",
    "rank_from_environment",
    "require_space",
    "run_in_process",
    "run_workers",
    "summary_text",
    "threads_per_process",
    "write_summary",
]
