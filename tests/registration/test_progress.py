import time

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
