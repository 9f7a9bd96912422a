"""Requests are checked value by value; the command and the Python are those of the request."""

import ast
import shlex
from pathlib import Path

import pytest

from zoo.app.registration_request import (
    Chosen,
    RegistrationRequest,
    job_words,
    parse_request,
    python_text,
    shell_text,
)
from zoo.app.request_error import RequestError
from zoo.cli.commands import find_command
from zoo.cli.parsing import parse

FACTS = {
    "points_space": "lps",
    "modality": {"0": "ct", "1": "mr"},
    "anatomy": "abdomen",
    "pairing": "intra",
    "model": "mcbo",
    "effort": "fast",
    "volume": 2,
}
AWKWARD = [
    "a b.nii.gz",
    "it's.nii.gz",
    "$(touch x).nii.gz",
    "`id`;rm -rf.nii",
    "-o.nii.gz",
    "--out.nii.gz",
    "a&b#c.nii",
    "\u00fcml\u00e4ut.nii",
]


def chosen(fixed="f.nii.gz", moving="m.nii.gz", moved=("fixed", "moving"), facts=None, **more):
    names = {"fixed": fixed, "moving": moving, **more}
    paths = {role: Path("/somewhere") / role / name for role, name in names.items()}
    request = RegistrationRequest(dict.fromkeys(names, "id"), facts or {})
    return Chosen(request, paths, names, names, frozenset(moved))


def test_a_complete_request_is_read():
    document = {"fixed": "a", "moving": "b", "fixed_mask": "c", "moving_points": None, **FACTS}
    request = parse_request(document)
    assert request.inputs == {"fixed": "a", "moving": "b", "fixed_mask": "c"}
    assert request.facts == FACTS
    assert request.to_json() == {k: v for k, v in document.items() if v is not None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fixed": None}, "fixed image is missing"),
        ({"moving": None}, "moving image is missing"),
        ({"fixed": 3}, "id"),
        ({"out": "/etc"}, "'out'"),
        ({"bundle": "x"}, "'bundle'"),
        ({"settings": {"a": 1}}, "'settings'"),
        ({"trust": True}, "'trust'"),
        ({"weights": "/x.safetensors"}, "'weights'"),
        ({"model": "/tmp/evil_bundle"}, "model must be one of mcbo"),
        ({"model": ["mcbo"]}, "model must be one of"),
        ({"anatomy": "--out"}, "anatomy must be one of"),
        ({"effort": "FAST"}, "effort"),
        ({"pairing": ""}, "pairing"),
        ({"points_space": "mm"}, "points_space"),
        ({"modality": "ct"}, "modality"),
        ({"modality": {"2": "ct"}}, "modality"),
        ({"modality": {"0": "xray"}}, "xray"),
        ({"volume": -1}, "volume"),
        ({"volume": True}, "volume"),
        ({"volume": 1.5}, "volume"),
        ({"volume": 1 << 70}, "volume"),
    ],
)
def test_values_that_are_not_listed_are_refused(change, words):
    with pytest.raises(RequestError, match=words) as refused:
        parse_request({"fixed": "a", "moving": "b"} | change)
    assert refused.value.status == 400


def arguments(words):
    """Return the arguments of `regzoo register` that words of a shell mean."""
    return parse(find_command("register"), words).arguments


def test_the_words_of_a_job_are_read_back_as_the_request():
    words = job_words(chosen(facts=FACTS, fixed_mask="mask.nii"), Path("/out/result"))
    assert words[0] == "register"
    read = arguments(words[1:])
    assert read["fixed"] == "/somewhere/fixed/f.nii.gz"
    assert read["fixed_mask"] == "/somewhere/fixed_mask/mask.nii"
    assert read["out"] == "/out/result"
    assert read["progress"] is True
    assert {key: read[key] for key in FACTS} == FACTS


@pytest.mark.parametrize("name", AWKWARD)
def test_the_command_is_quoted_for_a_shell(name):
    text = shell_text(chosen(fixed=name, moving="m.nii").typed_options())
    words = shlex.split(text)
    assert words[:2] == ["regzoo", "register"]
    read = arguments(words[2:])
    assert Path(read["fixed"]) == Path(name)
    assert read["out"] == "result"


@pytest.mark.parametrize("name", [*AWKWARD, "a'b\"c\\d.nii"])
def test_the_python_is_quoted_for_python(name):
    text = python_text(chosen(fixed=name, moving="m.nii", facts=FACTS).typed_options())
    lines = [line for line in text.splitlines() if line]
    assert len(lines) <= 5
    call = next(
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "zoo.register"
    )
    assert Path(ast.literal_eval(call.args[0])) == Path(name)
    keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert keywords == {"out": "result", "report": "full"} | FACTS


def test_equal_names_are_told_apart_by_folders_that_the_user_replaces():
    same = chosen(fixed="T1.nii", moving="T1.nii").same_as()
    assert shlex.split(same["command"]["shell"])[2:4] == ["fixed/T1.nii", "moving/T1.nii"]
    assert "equal names" in same["note"]
    assert "equal names" not in chosen().same_as()["note"]


def test_files_of_the_data_folder_need_no_note():
    assert chosen(moved=()).same_as()["note"] is None
