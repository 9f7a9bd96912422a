"""A small study, and its cohort with no pair registered."""

import shutil

import pytest
from benchmarks.cohorts import write_dataset, write_plan
from support.quick_registrations import SETTINGS

from zoo.cohorts.jobs import create_run_folder, plan_cohort, plan_of_run
from zoo.pipelines.run import CohortOptions, run_cohort


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 3, 16)
    write_plan(folder / "plan.json", folder / "data", fluid="never")
    return folder


@pytest.fixture
def cohort(study, tmp_path):
    """Three jobs with files of their own, none of them finished."""
    shutil.copytree(study / "data", tmp_path / "data")
    plan, folder = plan_of_run(study / "plan.json", None, tmp_path / "run")
    plan["dataset_dir"] = str(tmp_path / "data")
    cohort = plan_cohort(plan, folder)
    create_run_folder(cohort)
    return cohort


@pytest.fixture(scope="session")
def larger_study(tmp_path_factory):
    """Six pairs, and the results of one process in the folder `whole`."""
    folder = tmp_path_factory.mktemp("larger")
    write_dataset(folder / "data", 6, 16)
    write_plan(folder / "plan.json", folder / "data", affine="none", report=False, **SETTINGS)
    options = CohortOptions(folder / "plan.json", out=folder / "whole", threads=1, device="cpu")
    run_cohort(options)
    return folder


@pytest.fixture
def larger_cohort(larger_study, tmp_path):
    """The same six pairs, none of them finished."""
    cohort = plan_cohort(*plan_of_run(larger_study / "plan.json", None, tmp_path / "run"))
    create_run_folder(cohort)
    return cohort
