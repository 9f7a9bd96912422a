"""The help texts are complete, and their examples can be typed."""

import inspect
import shlex
import subprocess
import sys

import pytest
from support.command_line import run

from zoo.cli.commands import command_names, find_command, flag_of
from zoo.cli.parsing import parse


def help_of(name, capsys):
    assert run(name, "--help") == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_lists_every_command(words, capsys):
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in command_names())


@pytest.mark.parametrize("name", command_names())
def test_every_command_explains_each_of_its_arguments(name, capsys):
    arguments = help_of(name, capsys).partition("Args:")[2]
    for parameter in inspect.signature(find_command(name)).parameters.values():
        option = parameter.kind is parameter.KEYWORD_ONLY
        shown = flag_of(parameter.name) if option else parameter.name
        assert f"    {shown}: " in arguments, shown


@pytest.mark.parametrize("name", command_names())
def test_the_examples_of_every_command_can_be_parsed(name, capsys):
    block = help_of(name, capsys).partition("Examples:")[2].partition("Args:")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip().startswith("regzoo ")]
    assert any(line.startswith(f"regzoo {name}") for line in lines)
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        parse(find_command(words[0]), words[1:])


@pytest.mark.parametrize("name", command_names())
def test_help_fits_on_a_page_of_104_columns(name, capsys):
    assert max(map(len, help_of(name, capsys).splitlines())) <= 104


def test_help_does_not_import_torch():
    code = (
        "import sys, zoo.cli; zoo.cli.run(['--help']); zoo.cli.run(['register', '--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
