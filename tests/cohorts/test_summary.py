"""The summary of a run covers every pair and shows the worst first."""

import csv
import json
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from support.cohort_cases import write_result
from support.report_cases import needs_chromium, phantom_registration, screenshot

from zoo import UserError
from zoo.cohorts.record import describe_failure, record_failure
from zoo.cohorts.summary import page as page_module
from zoo.cohorts.summary import summary_text, write_summary
from zoo.cohorts.summary.finished_pairs import FinishedPairs
from zoo.cohorts.worker import THUMBNAIL
from zoo.planning.weights import weights_text, weights_used
from zoo.reporting.thumbnail import write_thumbnail


@pytest.fixture
def settled(cohort):
    """A cohort with two finished pairs and one that failed."""
    one, two, three = cohort.jobs
    write_result(cohort, one, dice_before=0.5, dice_after=0.9)
    write_result(cohort, two, dice_before=0.5, dice_after=0.7)
    record_failure(cohort, three, describe_failure(UserError("it is <broken>")))
    return cohort


def test_an_unfinished_pair_is_missing(cohort):
    one, two, three = cohort.jobs
    write_result(cohort, two, dice_after=0.7)
    document = write_summary(cohort).document
    assert document["missing"] == [one.name, three.name]
    assert document["finished"] == 1
    assert document["pairs"] == 3


def test_the_summary_has_the_figures_of_every_pair(settled):
    overview = write_summary(settled).document
    text = (settled.folder / "summary.json").read_text()
    document = json.loads(text)
    assert json.dumps(document, indent=2) + "\n" == text
    assert overview == {key: value for key, value in document.items() if key != "cases"}
    assert document["errors"] == [{"name": settled.jobs[2].name, "reason": "it is <broken>"}]
    assert document["missing"] == []
    assert [case["figures"]["dice_after"] for case in document["cases"]] == [0.9, 0.7]
    after = document["summary"]["dice_after"]
    assert (after["n"], after["smallest"], after["largest"]) == (2, 0.7, 0.9)
    assert after["mean"] == pytest.approx(0.8)
    assert document["summary"]["dice_before"]["mean"] == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_name_or_reason_becomes_a_formula(settled, name):
    jobs = [replace(job, name=f"{name} {k}") for k, job in enumerate(settled.jobs)]
    cohort = replace(settled, jobs=jobs)
    write_summary(cohort)
    rows = list(csv.reader((cohort.folder / "summary.csv").open()))[1:]
    assert [row[0] for row in rows] == [f"'{name} {k}" for k in range(3)]


def test_the_table_has_one_row_per_pair(settled):
    write_summary(settled)
    rows = list(csv.DictReader((settled.folder / "summary.csv").open()))
    assert [row["name"] for row in rows] == [job.name for job in settled.jobs]
    assert [row["state"] for row in rows] == ["finished", "finished", "error"]
    assert [row["dice_after"] for row in rows[:2]] == ["0.9", "0.7"]
    assert rows[2]["reason"] == "it is <broken>"


def test_the_report_shows_failures_first_and_then_the_worst_pairs(settled):
    write_summary(settled)
    page = (settled.folder / "report.html").read_text()
    one, two, three = (job.name for job in settled.jobs)
    assert page.index(three) < page.index(f"<h3>{two}") < page.index(f"<h3>{one}")
    assert "it is &lt;broken&gt;" in page


def test_the_text_names_the_failures_and_the_means(settled):
    lines = summary_text(write_summary(settled).document, settled.folder).splitlines()
    assert lines[0] == "2 of 3 pairs are registered"
    assert lines[1] == "quality: 2 ok, 0 check, 0 failed"
    assert lines[2] == f"error: {settled.jobs[2].name}: it is <broken>"
    assert "dice_after: 0.8" in lines
    assert lines[-1] == f"written to {settled.folder}"


def test_the_quality_ranks_before_the_warnings_and_these_before_low_figures():
    rows = [
        ("low", "ok", 0, 5.0),
        ("lower", "ok", 0, 9.0),
        ("warned", "check", 1, 2.0),
        ("unknown", None, 0, 1.0),
        ("failed", "failed", 1, 1.0),
        ("twice warned", "check", 2, 1.0),
    ]
    finished = FinishedPairs(StringIO())
    for name, quality, n, mm in rows:
        figures = {"dice_after": 0.1, "tre_mm_after": mm} if n else {"tre_mm_after": mm}
        case = {"name": name, "quality": quality, "warnings": ["x"] * n, "figures": figures}
        finished.add(case)
    order = ["failed", "twice warned", "warned", "unknown", "lower", "low"]
    assert [case["name"] for case in finished.worst(6)] == order
    assert [case["name"] for case in finished.worst(2)] == order[:2]
    assert np.array_equal(finished.columns()["tre_mm_after"], [row[3] for row in rows])
    dice = finished.columns()["dice_after"]
    assert np.array_equal(dice, [np.nan, np.nan, 0.1, np.nan, 0.1, 0.1], equal_nan=True)


def test_a_run_without_a_finished_pair_has_a_summary(cohort):
    write_summary(cohort)
    text = (cohort.folder / "summary.json").read_text()
    assert json.loads(text)["cases"] == []
    assert json.dumps(json.loads(text), indent=2) + "\n" == text


def test_a_long_page_shows_the_worst_pairs_and_the_table_all(settled, monkeypatch):
    monkeypatch.setattr(page_module, "MAX_CARDS", 1)
    write_summary(settled)
    page = (settled.folder / "report.html").read_text()
    one, two, _ = (job.name for job in settled.jobs)
    assert "The 1 worst of 2 pairs" in page
    assert f"<h3>{two}" in page
    assert one not in page
    assert one in (settled.folder / "summary.csv").read_text()


def test_the_quality_is_counted_and_written_for_every_pair(cohort):
    one, two, three = cohort.jobs
    write_result(cohort, one, "failed", ["It is empty."], dice_after=0.1)
    write_result(cohort, two, "check", ["It folds."], dice_after=0.9)
    write_result(cohort, three, dice_after=0.8)
    overview = write_summary(cohort)
    document = json.loads((cohort.folder / "summary.json").read_text())
    assert [pair.name for pair in overview.warned] == [one.name, two.name]
    assert document["quality"] == {"ok": 1, "check": 1, "failed": 1}
    assert [case["quality"] for case in document["cases"]] == ["failed", "check", "ok"]
    rows = list(csv.DictReader((cohort.folder / "summary.csv").open()))
    assert [row["quality"] for row in rows] == ["failed", "check", "ok"]
    assert rows[1]["reason"] == "It folds."
    page = (cohort.folder / "report.html").read_text()
    assert page.index("Quality: failed") < page.index("Quality: check")
    assert "ok: 1, check: 1, failed: 1" in page


@pytest.mark.parametrize(
    ("planned", "used", "as_planned", "text"),
    [
        (None, [None], "no weights", ""),
        ("a" * 64, ["a" * 64, "a" * 64], True, f"weights: those of the plan (sha256 {'a' * 12})"),
        ("a" * 64, ["a" * 64, "b" * 64], False, "weights: NOT those of the plan"),
        ("a" * 64, ["b" * 64], False, f"(sha256 {'b' * 12}, planned {'a' * 12})"),
        ("a" * 64, [], None, ""),
        (None, ["b" * 64], None, "the plan states none"),
        ("not a sha256", ["b" * 64], None, "the plan states none"),
    ],
)
def test_the_summary_says_whether_the_weights_are_those_of_the_plan(
    cohort, planned, used, as_planned, text
):
    if planned is not None:
        cohort.plan["plan"]["weights"] = {"variant": "own", "sha256": planned}
    weights = weights_used(cohort.plan, used)
    assert (weights or {"as_planned": "no weights"})["as_planned"] == as_planned
    assert text in weights_text(weights)
    assert bool(text) == bool(weights_text(weights))


@needs_chromium
@pytest.mark.parametrize("width", [1200, 390])
def test_chromium_shows_the_report_with_its_thumbnails(cohort, tmp_path, width):
    for k, job in enumerate(cohort.jobs[:2]):
        write_result(cohort, job, dice_before=0.5, dice_after=0.9 - k / 2, folding_percent=3.0)
        write_thumbnail(phantom_registration(k), job.folder / THUMBNAIL)
    record_failure(cohort, cohort.jobs[2], {"reason": f"/a/{'long' * 50}/path"})
    write_summary(cohort)
    page = screenshot(cohort.folder / "report.html", tmp_path, width)
    coloured = page.max(axis=2) - page.min(axis=2) > 40
    assert (page.max(axis=2) < 12).mean() > 0.002  # the background of the thumbnails
    assert coloured.mean() > 0.004
    assert (page[:, :4] == 255).all()
    assert (page[:, width - 4 :] == 255).all()


def test_the_page_says_how_a_pair_gets_the_viewer_unless_all_have_it(settled):
    light = replace(settled, plan=settled.plan | {"report": "light"})
    worst = settled.jobs[1].name
    write_summary(light)
    page = (settled.folder / "report.html").read_text()
    assert f"regzoo report {worst}</code>" in page
    assert str(settled.folder) not in page
    write_summary(settled)
    assert "regzoo report" not in (settled.folder / "report.html").read_text()
