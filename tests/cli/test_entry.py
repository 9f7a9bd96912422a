"""Exit codes and error messages of the command line."""

import subprocess
import sys

import pytest
from support.command_line import refusal, run

import zoo.commands.hub.models
from zoo import __version__


def test_the_version_is_printed(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"regzoo {__version__}\n"


def test_python_m_zoo_is_the_same_command():
    out = subprocess.run([sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True)
    assert (out.returncode, out.stdout) == (0, f"regzoo {__version__}\n")


def test_an_unknown_command_names_the_nearest(capsys):
    assert "did you mean warp?" in refusal(capsys, "wrap")


def test_a_name_that_is_not_utf8_is_refused(tmp_path, capsys):
    name = tmp_path / "a\udcff.nii.gz"
    assert "is not valid UTF-8" in refusal(capsys, "register", name, name, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_nothing_runs_before_every_option_is_checked(tmp_path, capsys):
    out = tmp_path / "out.nii.gz"
    error = refusal(capsys, "convert", "a.h5", out, "--too", "itk-nifti")
    assert "did you mean --to?" in error
    assert not out.exists()


def test_the_modality_of_a_pair_needs_a_slot(capsys):
    error = refusal(capsys, "register", "a", "b", "--out", "c", "--modality", "ct")
    assert "--modality needs a slot: --modality.0 (fixed) or --modality.1 (moving)" in error


def test_a_path_that_the_system_refuses_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    error = refusal(capsys, "evaluate", tmp_path / ("x" * 300))
    assert "x" * 300 in error


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0)])
def test_an_interruption_is_not_a_traceback(error, code, monkeypatch):
    def models():
        raise error

    monkeypatch.setattr(zoo.commands.hub.models, "models", models)
    monkeypatch.setattr(sys, "stderr", open("/dev/null", "w"))  # noqa: PTH123, SIM115
    assert run("models") == code


def test_a_name_cannot_change_what_the_terminal_shows(tmp_path, capsys):
    name = tmp_path / "a\x1b]0;owned\x07\u202e\nregzoo: done\x9b2J.nii.gz"
    error = refusal(capsys, "register", name, name, "--out", tmp_path / "o", "--model", "mcbo")
    assert error.rstrip("\n").isprintable()
    assert "\\x1b]0;owned\\x07\\u202e regzoo: done\\x9b2J" in error


def test_settings_are_validated_before_any_image_is_read(tmp_path, capsys):
    words = ("register", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--out", tmp_path / "o")
    for change, message in (
        ("sped=1", "--set sped: no model has such a setting"),
        ("spacng=1", "did you mean spacing?"),
        ("spacing=-1", "--set spacing: -1 is not allowed; use a number"),
        ("affine={a: 1}", "is not a file and not one of auto, none"),
    ):
        assert message in refusal(capsys, *words, "--set", change)
    error = refusal(capsys, *words, "--model", "unireg", "--set", "spacing=2")
    assert "--set spacing: unireg has no such setting" in error
    assert "there is no file" in refusal(capsys, *words, "--set", "spacing=2")
