"""Each program in tools/ answers --help with the command that runs it."""

import importlib
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
MODULES = [f"benchmarks.{p.stem}" for p in sorted((TOOLS / "benchmarks").glob("[!_]*.py"))]
MODULES += ["compact.train", "compact.anatomy"]
SCRIPTS = ["check_distribution", "check_files", "convert", "demo", "demo_picture", "docs_figures"]
SCRIPTS += ["installation_checks", "make_demo_data", "make_space", "mutation", "promises"]
SCRIPTS += ["release", "setup_env"]


def help_of(module, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit) as exit_:
        importlib.import_module(module).main()
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("module", MODULES)
def test_a_module_shows_how_it_is_run(module, monkeypatch, capsys):
    text = help_of(module, monkeypatch, capsys)
    interpreter = "python" if module != "benchmarks.gradicon" else ".venv-peers/bin/python"
    assert f"PYTHONPATH=tools {interpreter} -m {module} " in text


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_shows_how_it_is_run(script, monkeypatch, capsys):
    assert f" tools/{script}.py" in help_of(script, monkeypatch, capsys)


def test_the_page_of_the_benchmarks_lists_each_of_them():
    page = importlib.import_module("benchmarks").__doc__
    for module in MODULES[:-2]:
        assert f"| {module.removeprefix('benchmarks.')} |" in page
