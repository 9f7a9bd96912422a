import sys
import time
import types

import pytest

from zoo.registration.progress import RegistrationProgress


def test_the_seconds_of_repeated_stages_add_up():
    progress = RegistrationProgress("p", bar=False)
    for name in ("a", "b", "a"):
        with progress.stage(name, 10):
            time.sleep(0.02)
    progress.close()
    assert list(progress.seconds) == ["a", "b"]
    assert progress.seconds["a"] >= 0.04 > progress.seconds["b"] >= 0.02


def test_lines_state_the_percentage_and_the_stage(capfd):
    progress = RegistrationProgress("p", bar="lines")
    with progress.stage("first", 20):
        pass
    with progress.stage("second", 50) as report:
        report(0.5, "two\nlines")
        report(0.501, "two\nlines")  # nothing that a reader could see has changed
        report(0.2, "")  # never back
    progress.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "progress 0 first",
        "progress 20 first",
        "progress 20 second",
        "progress 20 two lines",
        "progress 45 two lines",
        "progress 70 two lines",
        "progress 100 saving",
    ]


def test_the_callback_moves_the_bar_inside_its_stage_and_never_back(monkeypatch):
    positions = []

    class Bar:
        n = 0.0

        def update(self, by):
            assert by >= 0
            self.n += by
            positions.append(self.n)

        def set_postfix_str(self, text):
            pass

    monkeypatch.setattr("zoo.registration.progress.tqdm", lambda **_: Bar())
    progress = RegistrationProgress("p")
    with progress.stage("alignment", 20):
        pass
    with progress.stage("deformation", 60) as report:
        for fraction in (0.5, 0.25, 1.0):
            report(fraction, "")
    assert positions == pytest.approx([20, 50, 50, 80, 80])


def test_a_stage_that_fails_is_timed_too():
    progress = RegistrationProgress("p", bar=False)
    with pytest.raises(ZeroDivisionError), progress.stage("a", 10):
        raise ZeroDivisionError
    assert progress.seconds["a"] >= 0


def test_a_notebook_shows_the_bar_although_its_standard_error_is_no_terminal(monkeypatch):
    """The kernel of a notebook is recognised as tqdm.auto recognises it."""
    made = []

    class Bar:
        n = 0.0

        def __init__(self, **options):
            made.append(options)

        def close(self):
            pass

    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    monkeypatch.setattr("zoo.registration.progress.tqdm", Bar)
    RegistrationProgress("p").close()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    RegistrationProgress("p").close()
    RegistrationProgress("p", bar=False).close()
    assert [options["disable"] for options in made] == [None, False, True]
