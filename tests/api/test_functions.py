"""The functions of the Python API mirror the commands."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import zoo
from zoo.cli.commands import find_command
from zoo.evaluation import FIGURE_KEYS


def test_importing_zoo_does_not_import_torch():
    code = "import sys, zoo; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


FUNCTIONS = ["plan", "finetune", "evaluate", "compare", "register", "run", "template", "propagate"]


PRINTING = {
    "plan": {"second", "explain", "diff"},
    "register": {"dry_run", "json", "progress", "quiet", "verbose"},
    "run": {"dry_run", "json", "quiet"},
    "template": {"json", "quiet"},
    "propagate": {"json", "quiet"},
}
"""Arguments of a command that only select what it prints."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_the_options_of_its_command(name):
    command = set(inspect.signature(find_command(name)).parameters)
    function = set(inspect.signature(getattr(zoo, name)).parameters)
    as_in_python = {"settings" if p == "set_" else p for p in command}
    assert function == as_in_python - PRINTING.get(name, set())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_function_explains_every_argument(name):
    function = getattr(zoo, name)
    arguments = (inspect.getdoc(function) or "").partition("Args:")[2]
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in arguments, parameter


def test_docstrings_name_only_figures_that_exist():
    named = set(re.findall(r"`(\w+)`", zoo.Registration.figures.__doc__))
    assert named
    assert named <= set(FIGURE_KEYS)


def test_every_name_of_the_api_is_there():
    assert set(zoo.__all__) <= set(dir(zoo))
    assert all(getattr(zoo, name) is not None for name in zoo.__all__)
    with pytest.raises(AttributeError, match="regsiter"):
        _ = zoo.regsiter
