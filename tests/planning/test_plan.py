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
        (lambda p: p.update(affine="$open('x')"), "holds expressions"),
        (lambda p: p.update(network_def={"_target_": "os.system"}), "holds expressions"),
        (lambda p: p["pairs"].update(_target_="os.system"), "holds expressions"),
        (lambda p: p["pairs"].update(folder="/elsewhere"), "holds expressions"),
        (lambda p: p.update({"+handlers": []}), "holds expressions"),
    ],
)
@pytest.mark.parametrize("version", [dict, schema_1])
def test_other_documents_are_refused(plan, tmp_path, version, change, words):
    plan = json.loads(json.dumps(version(plan)))
    change(plan)
    with pytest.raises(UserError, match=words):
        read_plan(write(tmp_path / "plan.json", plan))
