"""The walk over the promises tries them through the command and reports a broken one as broken."""

import importlib
import sys

import promises
import pytest
from promised import ON_A_REAL_PAIR, PROMISES
from promised.faults import a_typo_is_answered, no_input_is_overwritten
from promised.promise import Place, ensure, improved, keep


def tried(promise, tmp_path, pair=None):
    (outcome,) = promises.try_all([promise], tmp_path, pair or {})
    return outcome


@pytest.mark.slow
@pytest.mark.parametrize("promise", [a_typo_is_answered, no_input_is_overwritten])
def test_a_kept_promise_is_reported_with_what_was_seen(promise, tmp_path):
    outcome = tried(promise, tmp_path)
    assert outcome.kept, outcome.seen
    assert "regzoo: " in outcome.seen
    assert outcome.seconds > 0
    assert "| yes | " in promises.row(outcome)


def answered_by_another_program(place):
    """A promise about a command that does something else."""
    return place.regzoo("--version", code=2)


def a_program_that_crashes(place):
    """A promise about a command that ends with a traceback."""
    return place.python("-c", "raise RuntimeError('a | b')", code=1)


def a_file_that_is_missing(place):
    """A promise about a result that was not written."""
    return place.json("result/result.json")


def an_error_of_the_check(place):
    """A promise whose own check does not run."""
    raise KeyError("dice_before")


@pytest.mark.parametrize(
    ("promise", "seen"),
    [
        (answered_by_another_program, "exit code 0 of `--version`"),
        (a_program_that_crashes, "a traceback of `-c raise RuntimeError"),
        (a_file_that_is_missing, "result/result.json was not written"),
        (an_error_of_the_check, "KeyError: 'dice_before'"),
    ],
)
def test_a_broken_promise_is_reported_as_broken(promise, seen, tmp_path):
    outcome = tried(promise, tmp_path)
    assert not outcome.kept
    assert seen in outcome.seen
    row = promises.row(outcome)
    assert "| **no** | " in row
    assert row.count(" | ") == 3  # what was seen adds no cell


def test_a_registration_that_makes_a_pair_worse_breaks_a_promise(tmp_path):
    worse = {"dice_before": 0.8, "dice_after": 0.8, "similarity_before": 0, "similarity_after": 1}

    def promise(_place):
        return improved(worse)

    assert keep(promise, Place(tmp_path / "a", tmp_path), "worse").kept is False
    worse["dice_after"] = 0.9
    assert keep(promise, Place(tmp_path / "b", tmp_path), "better").seen == "dice 0.800 -> 0.900"


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["promises", *map(str, words)])
    return promises.main()


def test_the_exit_code_and_the_table_tell_of_a_broken_promise(tmp_path, monkeypatch, capsys):
    def kept(_place):
        """This holds."""
        return "it"

    def broken(_place):
        """This does not hold."""
        ensure(False, "nothing of it")

    monkeypatch.setattr(promises, "PROMISES", (kept, broken))
    assert run(monkeypatch, "--only", "kept") == 0
    assert run(monkeypatch, "--out", tmp_path / "table.md") == 1
    table = (tmp_path / "table.md").read_text()
    assert "| `kept`: This holds. | yes | 0 | it |" in table
    assert "| `broken`: This does not hold. | **no** | 0 | nothing of it |" in table
    assert "1 of 2 promises are kept." in table
    assert table.strip() in capsys.readouterr().out


def test_the_promises_of_another_copy_of_the_package_are_tried(tmp_path):
    package = tmp_path / "other" / "zoo"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("print('another version')")

    def promise(place):
        return place.regzoo("--version")

    (outcome,) = promises.try_all([promise], tmp_path / "tried", {}, tmp_path / "other")
    assert outcome.seen == "another version"


def test_the_promises_about_one_registration_are_tried_on_a_real_pair(tmp_path, monkeypatch):
    seen = []

    def promise(place):
        """Look at the pair."""
        seen.append(place.pair)
        return "it"

    monkeypatch.setattr(promises, "ON_A_REAL_PAIR", (promise,))
    pair = {"fixed": tmp_path / "f.nii", "moving": tmp_path / "m.nii"}
    outcomes = list(promises.try_all([promise, a_file_that_is_missing], tmp_path, pair))
    assert seen == [{}, pair]
    assert [outcome.name for outcome in outcomes] == [
        "promise", "a_file_that_is_missing", "promise (real pair)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "a_typo_is_anwered"], "did you mean a_typo_is_answered?"),
        (["--fixed", __file__], "needs both --fixed and --moving"),
        (["--fixed", __file__, "--moving", "no.nii"], "no such file: "),
    ],
)
def test_wrong_words_are_refused(words, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, *words)
    assert message in capsys.readouterr().err


def test_every_promise_has_a_name_of_its_own_and_one_sentence():
    names = [promise.__name__ for promise in PROMISES]
    assert len(set(names)) == len(names)
    assert set(ON_A_REAL_PAIR) <= set(PROMISES)
    for promise in PROMISES:
        assert (promise.__doc__ or "").strip().endswith("."), promise.__name__
        page = importlib.import_module("promised").__doc__
        assert f"| {promise.__module__.removeprefix('promised.')} |" in page
