"""The workflows, the hooks and the scripts of the repository call what exists in it."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs(path):
    """Return the jobs of a workflow."""
    return yaml.safe_load(path.read_text())["jobs"]


def programs(text):
    """Return the make targets and the files of `tools/` and `tests/` that a text names."""
    return (
        set(re.findall(r"\bmake ([a-z][\w-]*)", text)),
        set(re.findall(r"\b((?:tools|tests)/[\w./]+)", text)),
    )


@pytest.mark.parametrize(
    "path",
    [*WORKFLOWS, ROOT / ".ci" / "run", ROOT / ".pre-commit-config.yaml"],
    ids=lambda path: path.name,
)
def test_the_targets_and_files_that_are_named_exist(path):
    targets, files = programs(path.read_text())
    assert targets | files
    assert targets <= TARGETS
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_what_the_local_script_checks_the_workflows_check_too():
    local, _ = programs((ROOT / ".ci" / "run").read_text())
    hosted, _ = programs("".join(path.read_text() for path in WORKFLOWS))
    assert {"lint", "docs", "test", "test-peers"} <= local
    assert {name for name in local if not name.startswith("env")} <= hosted


def test_the_suite_runs_on_every_python_that_the_package_names():
    text = (ROOT / "pyproject.toml").read_text()
    named = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", text))
    tests = jobs(ROOT / ".github" / "workflows" / "tests.yml")["tests"]
    release = jobs(ROOT / ".github" / "workflows" / "release.yml")["install"]
    for job in (tests, release):
        assert set(job["strategy"]["matrix"]["python"]) == named


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_needs_more(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    for name, job in jobs(path).items():
        assert "permissions" not in job or name == "publish"
        assert "timeout-minutes" in job or name == "publish"
