import json
import sqlite3
from contextlib import closing
from pathlib import Path

import mutation
import pytest
from mutation import Sample

ROOT = Path(__file__).resolve().parents[2]


def line(operator, outcome, *, module="zoo/a.py", worker="normal", row=3, diff=""):
    """Return a line of `cosmic-ray dump`."""
    change = {"module_path": module, "operator_name": operator, "start_pos": [row, 0]}
    result = {"worker_outcome": worker, "test_outcome": outcome, "diff": diff}
    return json.dumps([{"mutations": [change]}, result])


def test_the_score_counts_what_was_tried_and_shows_the_survivors():
    dump = "\n".join(
        [
            line("core/NumberReplacer", "killed"),
            line("core/ReplaceBinaryOperator_Add_Sub", "survived", row=7,
                 diff="--- a\n+++ b\n@@ -7 +7 @@\n-    return a + b\n+    return a - b\n c"),
            line("core/ReplaceBinaryOperator_BitOr_Add", None, worker="skipped"),
            line("core/AddNot", "incompetent", module="zoo/b.py"),
            json.dumps([{"mutations": []}, None]),
        ]
    )  # fmt: skip
    text = mutation.report("zoo", mutation.mutants(dump), 5)
    assert text.splitlines() == [
        "zoo/a.py: 1 of 2 mutants killed (50 %)",
        "zoo/b.py: 1 of 1 mutants killed (100 %)",
        "zoo: 2 of 3 mutants killed (67 %)",
        "5 s",
        "",
        "zoo/a.py, line 7, core/ReplaceBinaryOperator_Add_Sub",
        "-    return a + b",
        "+    return a - b",
    ]


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("zoo/geometry/orientation.py", "tests/geometry/test_orientation.py"),
        ("zoo/io/itk/tfm.py", "tests/io/itk/test_tfm.py"),
        ("zoo/io/itk/header_text.py", "tests/io/itk"),
    ],
)
def test_the_tests_of_a_module_mirror_it(module, tests):
    assert mutation.mirrored_tests(module) == tests
    assert (ROOT / tests).exists()


def test_the_tests_of_the_folder_follow_those_of_the_module():
    module = "zoo/io/itk/tfm.py"
    assert mutation.stages([module], mirrored=False) == ["tests/io/itk/test_tfm.py", "tests/io"]
    assert mutation.stages([module], mirrored=True) == ["tests/io/itk/test_tfm.py"]
    several = [module, "zoo/io/lps.py", "zoo/geometry/grid.py"]
    assert mutation.stages(several, mirrored=False) == ["tests/geometry", "tests/io"]


def test_a_folder_means_its_modules_without_those_that_re_export():
    modules = mutation.modules_below("zoo/io/transforms")
    assert "zoo/io/transforms/lta.py" in modules
    assert all((ROOT / module).is_file() for module in modules)
    assert not any(module.endswith("__init__.py") for module in modules)
    assert mutation.modules_below("zoo/io/lps.py") == ["zoo/io/lps.py"]


@pytest.fixture
def session(tmp_path):
    """A session of cosmic-ray with 20 changes, of which a filter has left out the last four."""
    path = tmp_path / "session.sqlite"
    place = "module_path, start_pos_row, start_pos_col, operator_name, operator_args, occurrence"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table work_items (job_id)")
        database.execute("create table work_results (job_id)")
        database.execute(f"create table mutation_specs (job_id, {place})")
        for k in range(20):
            database.execute("insert into work_items values (?)", [f"job {k}"])
            row = [f"job {k}", "a.py", k, 0, "operator", "{}", 0]
            database.execute("insert into mutation_specs values (?, ?, ?, ?, ?, ?, ?)", row)
        left_out = [[f"job {k}"] for k in range(16, 20)]
        database.executemany("insert into work_results values (?)", left_out)
    return path


def kept(session):
    """Return the changes that a session still has, from both tables."""
    with closing(sqlite3.connect(session)) as database:
        jobs = [
            {job for (job,) in database.execute(f"select job_id from {table}")}
            for table in ("work_items", "mutation_specs")
        ]
    assert jobs[0] == jobs[1]
    return jobs[0]


@pytest.mark.parametrize("size", [None, 16, 100])
def test_without_a_smaller_sample_all_changes_are_tried(session, size):
    mutation.keep_sample(session, Sample(size, 0))
    assert len(kept(session)) == 20


def test_a_sample_is_drawn_from_what_the_filter_leaves(session):
    mutation.keep_sample(session, Sample(5, 3))
    tried = kept(session) - {f"job {k}" for k in range(16, 20)}
    assert len(tried) == 5
    assert len(kept(session)) == 9
