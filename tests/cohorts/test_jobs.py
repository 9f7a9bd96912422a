"""The jobs of a run, and the folder of the run."""

import json
from pathlib import Path

import pytest
from filelock import FileLock

from zoo import UserError
from zoo.cohorts.jobs import (
    create_run_folder,
    locked_run_folder,
    plan_cohort,
    plan_of_run,
    report_of,
)
from zoo.datasets.pairs import PairFiles, unique_pair_names
from zoo.io.atomic import write_json
from zoo.planning.plan import for_a_pair, read_plan


def test_pairs_with_the_same_name_get_different_folders():
    files = [PairFiles(Path(f"{d}/a.nii.gz"), (Path(f"{d}/b.nii.gz"),)) for d in "xyz"]
    assert unique_pair_names(files) == ["a_b", "a_b-2", "a_b-3"]


def test_planning_a_cohort_writes_nothing(study, tmp_path):
    plan, folder = plan_of_run(study / "plan.json", None, tmp_path / "run")
    cohort = plan_cohort(plan, folder)
    assert [job.folder.parent for job in cohort.jobs] == [folder] * 3
    assert not folder.exists()


def test_the_default_folder_is_named_after_the_plan_and_the_split(study):
    for split in ("val", "train"):
        plan, folder = plan_of_run(study / "plan.json", split, None)
        assert (plan["split"], folder) == (split, study / f"plan-{split}")


def test_reports_are_full_unless_the_plan_or_the_command_says_otherwise(study, tmp_path):
    plan, _ = plan_of_run(study / "plan.json", None, None)
    assert report_of(plan) == "full"
    asked, _ = plan_of_run(study / "plan.json", None, None, report="light")
    assert asked["report"] == report_of(asked) == "light"
    assert report_of(plan | {"report": False}) == "none"


def test_an_effort_replaces_that_of_the_plan_and_is_part_of_the_folders_name(study):
    plan, folder = plan_of_run(study / "plan.json", None, None, effort="fast")
    planned = read_plan(study / "plan.json")
    assert folder == study / f"plan-fast-{planned['split']}"
    assert plan["plan"]["effort"] == "fast"
    assert plan["most_voxels"] > 0
    assert "most_voxels" not in planned
    digests = {plan_cohort(p, folder).settings for p in (plan, planned)}
    assert len(digests) == 2


def test_a_plan_for_one_pair_is_refused(study, tmp_path):
    write_json(tmp_path / "pair.json", for_a_pair(read_plan(study / "plan.json")))
    with pytest.raises(UserError, match="is a plan for one pair"):
        plan_of_run(tmp_path / "pair.json", None, None)


def test_the_folder_of_another_run_is_refused_and_a_changed_plan_replaces_the_old(study, cohort):
    other = plan_cohort(*plan_of_run(study / "plan.json", None, cohort.folder))
    with pytest.raises(UserError, match="contains the run of another dataset_dir"):
        create_run_folder(other)
    create_run_folder(plan_cohort(cohort.plan | {"affine": "rigid"}, cohort.folder))
    assert json.loads((cohort.folder / "plan.json").read_text())["affine"] == "rigid"


def test_a_second_run_in_the_same_folder_is_refused_while_the_first_one_is_at_work(cohort):
    with (
        locked_run_folder(cohort.folder),
        pytest.raises(UserError, match="another process is running a cohort in"),
        locked_run_folder(cohort.folder),
    ):
        raise AssertionError("the folder was locked twice")
    with locked_run_folder(cohort.folder):
        pass


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(38, "not implemented")])
def test_a_file_system_without_locks_is_no_obstacle(cohort, monkeypatch, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with locked_run_folder(cohort.folder):
        pass
