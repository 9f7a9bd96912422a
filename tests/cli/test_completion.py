"""The completion scripts know every command and option, and bash completes with them."""

import inspect
import shlex
import shutil
import subprocess

import pytest
from support.command_line import refusal, run

from zoo.cli.commands import command_names, find_command, flag_of
from zoo.cli.completion import SHELLS, completion_script
from zoo.hub.bundles import bundle_names


def completed(tmp_path, *words):
    """Return what bash offers for the last of `words`."""
    script = tmp_path / "regzoo.bash"
    script.write_text(completion_script(["bash"]))
    array = " ".join(shlex.quote(word) for word in words)
    program = (
        f"compopt() {{ echo DEFAULT; }}; source {shlex.quote(str(script))}\n"
        f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}\n"
        "_regzoo; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["reg"], ["register"]),
        (["check"], ["check", "check-bundle"]),
        (["register", "a", "--fixed-m"], ["--fixed-mask"]),
        (["register", "--modal"], ["--modality.0", "--modality.1"]),
        (["register", "--pairing", ""], ["inter", "intra"]),
        (["register", "--model", "uni"], ["unigradicon", "unireg"]),
        (["where", ""], bundle_names()),
        (["completion", ""], list(SHELLS)),
        (["register", "fix"], ["DEFAULT"]),
        (["register", "--plan", "--x"], ["DEFAULT"]),
    ],
)
def test_bash_completes_words(tmp_path, words, offered):
    assert completed(tmp_path, "regzoo", *words) == offered


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_command_and_option(shell, capsys):
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    for name in command_names():
        assert name in script
        for parameter in inspect.signature(find_command(name)).parameters.values():
            if parameter.kind is parameter.KEYWORD_ONLY:
                flag = flag_of(parameter.name)
                assert (f"-l {flag[2:]}" if shell == "fish" else flag) in script


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_parse_the_script(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(completion_script([shell]))
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_shell_the_installation_is_described(capsys):
    assert run("completion") == 0
    assert "regzoo completion fish >" in capsys.readouterr().out
    assert "bash, zsh or fish, not 'ksh'" in refusal(capsys, "completion", "ksh")
