"""Help texts, made from the signatures and the docstrings of the commands."""

from __future__ import annotations

import inspect

from zoo.cli.commands import (
    Command,
    command_groups,
    find_command,
    flag_of,
    name_of,
    parameters_of,
    placeholder,
)


def overview() -> str:
    """Return the help of the whole command line: a line for each command, in groups."""
    groups = command_groups()
    width = max(len(name) for commands in groups.values() for name in commands)
    lines = ["regzoo: universal 3-D medical image registration that configures itself", ""]
    lines += ["Usage: regzoo COMMAND ...", ""]
    for title, commands in groups.items():
        lines.append(f"{title}:")
        lines += [f"  {name:<{width}}  {_summary(find_command(name))}" for name in commands]
        lines.append("")
    lines.append("`regzoo COMMAND --help` describes a command and its options, with examples.")
    lines.append(
        "`regzoo --version` prints the version, and `regzoo completion` how to complete words"
    )
    lines.append("in bash, zsh or fish.")
    return "\n".join(lines)


def help_text(command: Command) -> str:
    """Return the help of one command: usage, description, examples and arguments."""
    parameters = parameters_of(command)
    required = [placeholder(p) for p in parameters if p.default is p.empty]
    usage = " ".join(["Usage: regzoo", name_of(command), *required, "[OPTIONS]"])
    lines = (inspect.getdoc(command) or "").splitlines()
    flags = {p.name.rstrip("_"): flag_of(p.name) for p in parameters if p.kind is p.KEYWORD_ONLY}
    first = lines.index("Args:") if "Args:" in lines else len(lines)
    for k in range(first, len(lines)):
        name, colon, text = lines[k].strip().partition(": ")
        if colon and name in flags:
            lines[k] = f"    {flags[name]}: {text}"
    return "\n".join([usage, "", *lines])


def _summary(command: Command) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0].rstrip(".")
