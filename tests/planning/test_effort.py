"""The effort of a plan: recorded, explained, changed afterwards, and refused if it is misspelt."""

import json
from dataclasses import replace

import pytest
from support.planning_facts import ALL, fingerprint

from zoo.errors import UserError
from zoo.hub.catalogue import find_model
from zoo.hub.own_models import OwnModel
from zoo.planning.effort import parse_effort, with_effort
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import difference, explain, make_plan, override, read_plan
from zoo.planning.weights import for_own_model, with_own_model

FACTS = fingerprint("lung", "ct", "ct", "intra")


def plan(effort="normal", model="mcbo", **more):
    return make_plan(FACTS, UserOptions(available=ALL, model=model, effort=effort, **more))


def settings(plan):
    return {key: value for key, value in plan.items() if key not in ("plan", "facts")}


@pytest.mark.parametrize("effort", ["fast", "normal", "best"])
@pytest.mark.parametrize("model", ALL)
def test_a_plan_records_its_effort_and_explains_it(effort, model):
    more = {"pairing": "intra"} if model == "unireg" else {}
    made = plan(effort, model, **more)
    assert made["plan"]["effort"] == effort
    assert made["facts"]["plan"]["effort"] == effort
    assert f"effort: {effort} (" in explain(made)


@pytest.mark.parametrize(
    ("model", "effort"), [("mcbo", "fast"), ("mcbo", "best"), (ALL[1], "fast")]
)
def test_the_settings_of_an_effort_are_those_of_the_specification(model, effort):
    rules = find_model(model).planning.effort[effort]
    made = plan(effort, model)
    assert settings(made) == settings(plan(model=model)) | dict(rules.settings)
    choices = made["plan"]["choices"]
    for name in rules.settings:
        assert choices[name]["rule"] == f"effort.{effort}"
        assert choices[name]["because"] == rules.because
    assert not any(
        choice["rule"].startswith("effort")
        for choice in plan(model=model)["plan"]["choices"].values()
    )


@pytest.mark.parametrize("before", ["fast", "normal", "best"])
@pytest.mark.parametrize("after", ["fast", "normal", "best"])
@pytest.mark.parametrize("model", ["mcbo", "multigradicon"])
def test_an_effort_that_is_changed_is_that_of_a_new_plan(model, before, after):
    changed, new = with_effort(plan(before, model), after), plan(after, model)
    assert settings(changed) == settings(new)
    assert changed["facts"] == new["facts"]
    assert changed["plan"]["choices"] == new["plan"]["choices"]
    assert changed["plan"]["effort"] == after


def test_the_settings_of_the_user_take_precedence():
    chosen = override(plan(model="multigradicon"), "mine", {"refine": 7})
    assert with_effort(chosen, "fast")["refine"] == 7
    wished = plan("fast", "multigradicon", settings={"refine": 7})
    assert "refine" not in wished["plan"]["choices"] or wished["refine"] == 50


def test_the_difference_of_two_plans_names_their_efforts():
    assert 'effort: "normal" -> "fast"' in difference(plan(), plan("fast"))
    old = plan()
    del old["plan"]["effort"]
    assert "effort" not in difference(old, plan())


def test_a_plan_with_an_effort_is_read_as_it_was_written(tmp_path):
    for effort in ("fast", "best"):
        path = tmp_path / f"{effort}.json"
        path.write_text(json.dumps(plan(effort)))
        assert read_plan(path) == plan(effort)


def test_a_plan_of_an_earlier_version_has_no_effort_and_is_read(tmp_path):
    old = plan()
    del old["plan"]["effort"], old["facts"]["plan"]["effort"]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(old))
    assert read_plan(path) == old
    assert with_effort(read_plan(path), "normal")["facts"]["plan"]["effort"] == "normal"


def test_a_misspelt_effort_is_refused_with_the_nearest_name(tmp_path):
    words = r"did you mean best\?\); use one of fast, normal, best"
    with pytest.raises(UserError, match=f"--effort 'bset' is not known .{words}"):
        parse_effort("bset")
    spoiled = plan()
    spoiled["plan"]["effort"] = "bset"
    spoiled["facts"]["plan"]["effort"] = "bset"
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(spoiled))
    with pytest.raises(UserError, match=f"plan.json: plan: effort: 'bset' is not known .{words}"):
        read_plan(path)


def test_the_memory_of_several_candidates_is_not_promised():
    with pytest.raises(UserError, match="--memory cannot be combined with --effort best"):
        plan("best", memory_mib=8000.0)


def test_a_coarser_grid_needs_less_memory():
    budget = {"memory_mib": 1500.0}
    assert "spacing" in plan(**budget)["plan"]["choices"]
    assert "spacing" not in plan("fast", **budget)["plan"]["choices"]


def test_an_effort_takes_precedence_over_the_settings_of_a_model_of_ones_own(tmp_path):
    own = OwnModel("mine", tmp_path, "multigradicon", {"refine": 80, "similarity": "mind"})
    options = UserOptions(available=ALL, model="multigradicon")
    planned = {}
    for effort in ("normal", "fast"):
        wishes = for_own_model(replace(options, effort=effort), own)
        planned[effort] = with_own_model(make_plan(FACTS, wishes), own)
    assert planned["normal"]["refine"] == 80
    assert planned["fast"]["refine"] == 0
    assert planned["fast"]["similarity"] == planned["normal"]["similarity"] == "mind"
