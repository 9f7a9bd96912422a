"""Plan documents: reading them, also those of earlier versions, and refusing others."""

import json

import pytest
from support.planning_facts import ALL, fingerprint

from zoo.errors import UserError
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import for_a_pair, make_plan, read_plan


def write(path, plan):
    path.write_text(json.dumps(plan), encoding="utf-8")
    return path


@pytest.fixture
def plan(tmp_path):
    """A plan for a dataset."""
    facts = fingerprint("lung", "ct", "ct", "intra") | {"dataset": str(tmp_path), "content": "abc"}
    return make_plan(facts, UserOptions(available=ALL))


def schema_1(plan):
    """Return the plan as version 0.1.0 wrote it, before modules were renamed."""
    section = plan["plan"] | {"schema": 1}
    return plan | {
        "plan": section,
        "pairs": plan["pairs"] | {"_target_": "zoo.workflow.pairs.DatasetPairs"},
    }


def test_a_plan_is_read_as_it_was_written(plan, tmp_path):
    assert read_plan(write(tmp_path / "plan.json", plan)) == plan


def test_a_plan_of_schema_1_is_read_in_the_present_schema(plan, tmp_path):
    former = schema_1(plan)
    assert former["plan"]["schema"] == 1
    assert read_plan(write(tmp_path / "plan.json", former)) == plan
    former = schema_1(plan)
    assert read_plan(write(tmp_path / "pair.json", for_a_pair(former))) == for_a_pair(plan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["plan"].update(schema=99), "is not a plan that this version can read"),
        (lambda p: p["plan"].pop("choices"), "is not a plan that this version can read"),
        (lambda p: p.pop("plan"), "is not a plan that this version can read"),
        (lambda p: p["plan"].update(model="/elsewhere"), "there is no model '/elsewhere'"),
        (lambda p: p["plan"].update(choice={}), r"no key 'choice' \(did you mean choices\?\)"),
        (lambda p: p["plan"]["cautions"].append("$open('x')"), "begins with"),
        (lambda p: p["plan"]["choices"].update({"x": {"+y": 1}}), "would read as a command"),
        (lambda p: p.update(similarity="$open('x')"), "similarity: .* is not allowed; use one of"),
        (lambda p: p.update(refine=-1), "refine: -1 is not allowed; use a whole number from 0"),
        (lambda p: p.update(network_def={"_target_": "os.system"}), "has no such setting"),
        (lambda p: p.update(refin=3), r"no such setting \(did you mean refine\?\)"),
        (lambda p: p.update(facts={"plan": {"pairs": "$open('x')"}}), "differ from the section"),
        (lambda p: p["pairs"].update(_target_="os.system"), "the component differs"),
        (lambda p: p["pairs"].update(folder="/elsewhere"), "the component differs"),
        (lambda p: p.pop("pairs"), "pairs is missing"),
        (lambda p: p.update(split="%x.json::y"), "begins with"),
        (lambda p: p.update({"+handlers": []}), "has no such setting"),
    ],
)
@pytest.mark.parametrize("version", [dict, schema_1])
def test_other_documents_are_refused(plan, tmp_path, version, change, words):
    plan = json.loads(json.dumps(version(plan)))
    change(plan)
    with pytest.raises(UserError, match=words):
        read_plan(write(tmp_path / "plan.json", plan))
