"""Scripts that complete the words of the command line in bash, zsh and fish.

They are written from the signatures of the commands and contain every command, option and choice,
so that completing a word does not start Python.
"""

from __future__ import annotations

import inspect
import re
import shlex
import typing
from dataclasses import dataclass

from zoo.cli.commands import BUILT_IN, command_groups, find_command, flag_of, parameters_of
from zoo.errors import UserError
from zoo.hub.bundles import bundle_names

SHELLS = ("bash", "zsh", "fish")
INSTALLATION = """Usage: regzoo completion bash|zsh|fish

Print a script that completes commands, options and their values.

    bash: regzoo completion bash > ~/.local/share/bash-completion/completions/regzoo
    zsh:  regzoo completion zsh > "${fpath[1]}/_regzoo"
    fish: regzoo completion fish > ~/.config/fish/completions/regzoo.fish"""


@dataclass(frozen=True)
class Option:
    """An option of a command, its help text, and the words that it takes.

    A switch takes no word. Without `choices` an option takes any word, such as a file.
    """

    flag: str
    help: str
    switch: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A command as it is completed; `choices` are those of its positional words."""

    name: str
    help: str
    options: tuple[Option, ...] = ()
    choices: tuple[str, ...] = ()


def completion_script(words: list[str]) -> str:
    """Return the script for the shell that `words` name, or how to install one."""
    if words in ([], ["--help"], ["-h"]):
        return INSTALLATION
    if len(words) != 1 or words[0] not in SHELLS:
        raise UserError(f"completion is for bash, zsh or fish, not {' '.join(words)!r}")
    write = {"bash": _bash, "zsh": _zsh, "fish": _fish}[words[0]]
    return write(entries())


def entries() -> list[Entry]:
    """Return all commands in alphabetical order."""
    found = [_entry(name) for commands in command_groups().values() for name in commands]
    found += [
        Entry(name, help, choices=SHELLS if name == "completion" else ())
        for name, help in BUILT_IN.items()
    ]
    return sorted(found, key=lambda entry: entry.name)


def _entry(name: str) -> Entry:
    command = find_command(name)
    document = inspect.getdoc(command) or ""
    helps = _help_of_arguments(document)
    hints = typing.get_type_hints(command)
    options = [
        Option(
            flag,
            helps.get(parameter.name.rstrip("_"), ""),
            hints[parameter.name] is bool,
            _choices(parameter.name, hints[parameter.name]),
        )
        for parameter in parameters_of(command)
        if parameter.kind is parameter.KEYWORD_ONLY
        for flag in _flags(parameter.name, hints[parameter.name])
    ]
    options.append(Option("--help", "Describe the command", True, ()))
    models = tuple(bundle_names()) if "model" in _positional(command) else ()
    return Entry(name, document.partition("\n")[0].rstrip("."), tuple(options), models)


def _positional(command: typing.Any) -> list[str]:
    return [p.name for p in parameters_of(command) if p.kind is not p.KEYWORD_ONLY]


def _flags(parameter: str, hint: typing.Any) -> list[str]:
    """Return the flags of a parameter: one, or one for each slot."""
    kinds = {typing.get_origin(part) for part in (hint, *typing.get_args(hint))}
    flag = flag_of(parameter)
    return [f"{flag}.0", f"{flag}.1"] if dict in kinds else [flag]


def _choices(parameter: str, hint: typing.Any) -> tuple[str, ...]:
    """Return the words that an option takes, if they are known."""
    if parameter == "model":
        return tuple(bundle_names())
    for part in (hint, *typing.get_args(hint)):
        if typing.get_origin(part) is typing.Literal:
            return typing.get_args(part)
    return ()


def _help_of_arguments(document: str) -> dict[str, str]:
    """Return the first sentence of each argument in the section "Args:" of a docstring."""
    helps: dict[str, str] = {}
    name = ""
    for line in document.partition("Args:\n")[2].splitlines():
        indent = len(line) - len(line.lstrip())
        if indent == 4 and ": " in line:
            name, _, helps[name] = line.strip().partition(": ")
        elif indent > 4 and name:
            helps[name] += " " + line.strip()
    return {name: text.partition(". ")[0].rstrip(".") for name, text in helps.items()}


def _bash(commands: list[Entry]) -> str:
    lines = [
        "# regzoo completion for bash",
        "_regzoo() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="${COMP_WORDS[1]}" options="" values="" free=""',
        "    COMPREPLY=()",
        "    if ((COMP_CWORD == 1)); then",
        f'        COMPREPLY=($(compgen -W "{" ".join(e.name for e in commands)}" -- "$word"))',
        "        return",
        "    fi",
        '    case "$command" in',
    ]
    for entry in commands:
        flags = " ".join(option.flag for option in entry.options)
        lines.append(f'        {entry.name}) options="{flags}"; values="{" ".join(entry.choices)}"')
        with_word = [option for option in entry.options if not option.switch]
        if with_word:
            lines.append('            case "$before" in')
            for option in with_word:
                words = " ".join(option.choices)
                lines.append(f'                {option.flag}) values="{words}"; free=1 ;;')
            lines.append("            esac")
        lines.append("            ;;")
    lines += [
        "    esac",
        '    if [[ "$word" == -* && -z "$free" ]]; then',
        '        COMPREPLY=($(compgen -W "$options" -- "$word"))',
        '    elif [[ -n "$values" ]]; then',
        '        COMPREPLY=($(compgen -W "$values" -- "$word"))',
        "    else",
        "        compopt -o default",
        "    fi",
        "}",
        "complete -F _regzoo regzoo",
    ]
    return "\n".join(lines)


def _zsh(commands: list[Entry]) -> str:
    lines = ["#compdef regzoo", "# regzoo completion for zsh", "_regzoo() {"]
    lines.append("    local -a commands=(")
    lines += [f"        {_quoted(f'{e.name}:{e.help}')}" for e in commands]
    lines += [
        "    )",
        "    if ((CURRENT == 2)); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    shift words",
        "    ((CURRENT--))",
        '    case "$words[1]" in',
    ]
    for entry in commands:
        lines.append(f"        {entry.name})")
        lines.append("            _arguments -S \\")
        for option in entry.options:
            word = "" if option.switch else f":value:{_zsh_words(option.choices)}"
            text = re.sub(r"([\[\]:])", r"\\\1", option.help)
            lines.append(f"                {_quoted(f'*{option.flag}[{text}]{word}')} \\")
        rest = f"*:word:{_zsh_words(entry.choices)}"
        lines.append(f"                {_quoted(rest)}")
        lines.append("            ;;")
    lines += ["    esac", "}", 'if [ "$funcstack[1]" = "_regzoo" ]; then', '    _regzoo "$@"']
    lines += ["else", "    compdef _regzoo regzoo", "fi"]
    return "\n".join(lines)


def _zsh_words(choices: tuple[str, ...]) -> str:
    return f"({' '.join(choices)})" if choices else "_files"


def _fish(commands: list[Entry]) -> str:
    lines = ["# regzoo completion for fish", "complete -c regzoo -e"]
    for entry in commands:
        lines.append(
            f"complete -c regzoo -f -n __fish_use_subcommand -a {entry.name} "
            f"-d {_quoted(entry.help)}"
        )
    for entry in commands:
        start = f"complete -c regzoo -n '__fish_seen_subcommand_from {entry.name}'"
        for option in entry.options:
            words = f" -f -a {_quoted(' '.join(option.choices))}" if option.choices else ""
            taken = "" if option.switch else f" -r{words}"
            name = option.flag.removeprefix("--")
            lines.append(f"{start} -l {name} -d {_quoted(option.help)}{taken}")
        if entry.choices:
            lines.append(f"{start} -f -a {_quoted(' '.join(entry.choices))}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """Return a text as one word of a shell."""
    return shlex.quote(text)
