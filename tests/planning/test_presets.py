"""The choice of the model: the presets, compared with what the papers report of the training."""

from pathlib import Path

import pytest
import yaml
from support.planning_facts import ALL, fingerprint, planned

from zoo.hub.catalogue import load_catalogue
from zoo.networks.unireg_tasks import TASKS
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan
from zoo.planning.presets import find_preset, load_presets, modality_pair


@pytest.mark.parametrize(
    ("facts", "model", "changes"),
    [
        (("lung", "ct", "ct", "intra"), "unigradicon", {"similarity": "lncc", "refine": 50}),
        (("knee", "mr", "mr", "inter"), "unigradicon", {"fixed_modality": "mr"}),
        (("brain", "mr", "mr", "inter"), "unigradicon", {"similarity": "lncc"}),
        (("abdomen", "ct", "ct", "intra"), "unigradicon", {"fixed_modality": "ct"}),
        (("abdomen", "mr", "ct", "intra"), "multigradicon", {"similarity": "lncc2"}),
        (("lung", "ct", "cbct", "intra"), "multigradicon", {"moving_modality": "cbct"}),
        (("abdomen", "ct", "ct", "inter"), "unireg", {"region": "abdomen", "type": "inter"}),
        (("lung", "ct", "ct", "inter"), "unireg", {"region": "chest", "type": "inter"}),
        (("head-neck", "ct", "ct", "inter"), "unireg", {"region": "head", "type": "inter"}),
        (("liver", "ct", "ct", "intra"), "unireg", {"region": "liver", "type": "intra"}),
        (("heart", "mr", "mr", "intra"), "unireg", {"region": "cardiac", "type": "intra"}),
        (("prostate", "mr", "us", "intra"), "mcbo", {"mode": "accurate"}),
        (("brain", "us", "mr", "intra"), "mcbo", {}),
        (("prostate", "mr", "mr", "intra"), "mcbo", {}),
        (("brain", "pet", "mr", "intra"), "mcbo", {}),
    ],
)
def test_the_model_is_the_one_the_table_says(facts, model, changes):
    plan = planned(*facts)
    assert plan["plan"]["model"] == model
    assert {key: plan[key] for key in changes} == changes


def test_the_specifications_give_the_presets_of_the_table():
    table = yaml.safe_load(Path(__file__).with_name("presets.yaml").read_text())
    presets = {
        key: {"models": list(preset.models), "because": preset.because}
        | ({"trained": list(preset.trained)} if preset.trained else {})
        for key, preset in load_presets().items()
    }
    assert presets == table


def test_a_conditional_model_is_preset_only_for_tasks_it_was_trained_on():
    spec = load_catalogue()["unireg"]
    for condition in spec.planning.conditions.values():
        assert TASKS[condition.region].type == condition.type
    for key, pairs in spec.planning.pairs.items():
        anatomy, _, pairing = key.split("/")
        assert pairs.trained
        assert spec.planning.conditions[anatomy].type == pairing


def test_every_preset_ends_with_a_model_that_needs_no_weights():
    specs = load_catalogue()
    assert not any(specs[preset.models[-1]].learned for preset in load_presets().values())


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        (("brain", "mr-mr", "intra"), "brain/mr-mr/any"),
        (("brain", "mr-mr'", None), "brain/mr-mr'/any"),
        (("prostate", "mr-us", "intra"), "any/mr-us/any"),
        (("lung", "ct-ct", None), "any/any/any"),
        ((None, None, None), "any/any/any"),
    ],
)
def test_the_most_exact_preset_counts(facts, key):
    assert find_preset(*facts).key == key


def test_which_image_is_fixed_does_not_matter_to_the_preset():
    assert modality_pair("mr", "ct", contrasts=False) == "ct-mr"
    assert modality_pair("ct", "mr", contrasts=True) == "ct-mr"
    assert modality_pair("mr", "mr", contrasts=True) == "mr-mr'"
    assert modality_pair("mr", None, contrasts=False) is None


def test_unireg_is_left_out_if_its_conditions_are_only_likely():
    facts = fingerprint("abdomen", "ct", "ct", "inter")
    facts["pairing"]["confidence"] = "likely"
    plan = make_plan(facts, UserOptions(available=ALL))
    assert plan["plan"]["model"] == "unigradicon"
    assert "--pairing inter" in plan["plan"]["choices"]["model"]["because"]
    assert (
        make_plan(facts, UserOptions(available=ALL, pairing="inter"))["plan"]["model"] == "unireg"
    )


def test_without_weights_the_next_model_is_taken_and_the_reason_says_what_to_pull():
    plan = make_plan(fingerprint("lung", "ct", "ct", "intra"), UserOptions(available=("mcbo",)))
    because = plan["plan"]["choices"]["model"]["because"]
    assert plan["plan"]["model"] == "mcbo"
    assert "regzoo pull unigradicon" in because


def test_every_task_of_a_conditional_model_is_within_its_training():
    modalities = {"lung": "ct", "abdomen": "ct", "head-neck": "ct", "liver": "ct"}
    for anatomy, condition in load_catalogue()["unireg"].planning.conditions.items():
        modality = modalities.get(anatomy, "mr")
        plan = planned(anatomy, modality, modality, condition.type, model="unireg")
        assert plan["plan"]["cautions"] == [], anatomy
    (text,) = planned("brain", "mr", "mr", "intra", model="unireg")["plan"]["cautions"]
    assert text.startswith("experimental")
