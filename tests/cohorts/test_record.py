"""The record of settled pairs: what is finished, what failed, and who writes a result."""

import json

import pytest
from support.cohort_cases import write_result

from zoo import UserError
from zoo.cohorts.record import (
    UNFINISHED,
    describe_failure,
    failure_of,
    is_finished,
    pending_jobs,
    record_failure,
    replaced_results,
)
from zoo.io.atomic import replace_folder


def test_a_failed_pair_is_tried_again_and_its_result_replaces_the_failure(cohort):
    job = cohort.jobs[0]
    record_failure(cohort, job, describe_failure(UserError("the file\nis broken")))
    assert failure_of(job) == {"name": job.name, "reason": "the file is broken"}
    assert pending_jobs(cohort) == list(cohort.jobs)
    write_result(cohort, job)
    assert failure_of(job) is None
    assert is_finished(job, cohort)
    assert pending_jobs(cohort) == list(cohort.jobs[1:])


@pytest.mark.parametrize("content", ["", "[]", '{"content": 3}', '{"content": {}}', "{"])
def test_a_result_that_cannot_be_read_does_not_finish_a_job(cohort, content):
    job = cohort.jobs[0]
    job.folder.mkdir()
    (job.folder / "result.json").write_text(content)
    assert not is_finished(job, cohort)


def test_only_the_failure_of_a_bug_has_a_traceback():
    expected = describe_failure(UserError("the file\nis broken"))
    bug = describe_failure(ZeroDivisionError("no"))
    assert expected == {"reason": "the file is broken"}
    assert bug["reason"] == "ZeroDivisionError: no"
    assert "ZeroDivisionError" in "".join(bug["traceback"])


def result_of(cohort, folder, job, author):
    document = {"content": cohort.digest(job), "author": author}
    (folder / "result.json").write_text(json.dumps(document))


def test_of_two_results_for_one_pair_the_first_complete_one_stays(cohort):
    """The second writer may begin before or after the first one has finished."""
    job = cohort.jobs[0]
    with replaced_results(cohort, job) as late:
        result_of(cohort, late, job, "late")
        with replaced_results(cohort, job) as early:
            result_of(cohort, early, job, "early")
    record_failure(cohort, job, {"reason": "lost"})
    assert json.loads((job.folder / "result.json").read_text())["author"] == "early"
    assert [path.name for path in job.folder.iterdir()] == ["result.json"]
    assert list((cohort.folder / UNFINISHED).iterdir()) == []


def test_a_writer_that_fails_leaves_the_folder_of_the_pair_as_it_was(cohort):
    job = cohort.jobs[0]
    write_result(cohort, job)
    job.files.fixed.write_bytes(job.files.moving[0].read_bytes())  # the result is outdated
    before = (job.folder / "result.json").read_bytes()

    def fail():
        with replaced_results(cohort, job) as folder:
            result_of(cohort, folder, job, "unfinished")
            raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        fail()
    assert (job.folder / "result.json").read_bytes() == before
    assert list((cohort.folder / UNFINISHED).iterdir()) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for name, text in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(text)
    replace_folder(tmp_path / "new", tmp_path / "old")
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["new.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
