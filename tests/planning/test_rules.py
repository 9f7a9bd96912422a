"""The rules, compared with what the papers of the models report of their training."""

import copy

import pytest
from support.planning_facts import ALIGNED, ALL, channel, fingerprint, planned

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder, config_keys
from zoo.hub.catalogue import load_catalogue
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import difference, explain, make_plan, override


@pytest.mark.parametrize("model", ["mcbo", "unigradicon", "multigradicon", "unireg"])
def test_every_planned_key_is_a_setting_of_its_bundle(model):
    plan = planned("abdomen", "ct", "ct", "inter", model=model)
    keys = set(plan) - {"plan"}
    assert keys <= set(config_keys(bundle_folder(model))) | {"split"}
    assert set(load_catalogue()[model].planning.defaults) <= keys


def test_missing_facts_are_requested_once_with_the_flags_to_add():
    facts = fingerprint(None, None, None, "intra")
    with pytest.raises(UserError, match=r"--modality\.0 mr --modality\.1 mr .*--accept-guess"):
        make_plan(facts, UserOptions(available=ALL))
    with pytest.raises(UserError, match="--anatomy brain"):
        make_plan(facts, UserOptions(available=ALL, modality={"0": "ct", "1": "ct"}))
    guessed = make_plan(facts, UserOptions(available=ALL, accept_guess=True))
    assert guessed["plan"]["model"] == "mcbo"


def test_the_user_takes_precedence_over_the_dataset():
    facts = fingerprint("brain", "mr", "ct", "intra")
    facts["channels"]["0"] = channel("mr", hounsfield=True)
    plan = make_plan(facts, UserOptions(available=ALL, modality={"0": "CT"}, anatomy="chest"))
    assert plan["plan"]["preset"] == "lung/ct-ct/intra"
    beliefs = plan["plan"]["beliefs"]
    assert beliefs["modality.0 (fixed)"]["source"] == "user"
    assert beliefs["anatomy"]["value"] == "lung"


def test_two_declared_contrasts_are_two_whatever_the_values_show():
    facts = fingerprint("brain", "mr", "mr", "intra")
    for slot, word in (("0", "T1"), ("1", "T2w")):
        facts["channels"][slot]["modality"]["declared"] = word
    assert make_plan(facts, UserOptions(available=ALL))["plan"]["model"] == "multigradicon"
    facts["channels"]["1"]["modality"]["declared"] = "T1w"
    facts["alignment"] = ALIGNED | {"sign": -0.9}
    plan = make_plan(facts, UserOptions(available=ALL))
    assert plan["plan"]["model"] == "unigradicon"
    assert any("disagree in sign" in text for text in plan["plan"]["cautions"])


def test_undeclared_contrasts_are_distinguished_only_where_the_images_are_aligned():
    facts = fingerprint("brain", "mr", "mr", "intra", sign=-0.9)
    assert make_plan(facts, UserOptions(available=ALL))["plan"]["model"] == "multigradicon"
    facts["alignment"]["lncc2"] = 0.05
    assert make_plan(facts, UserOptions(available=ALL))["plan"]["model"] == "unigradicon"


@pytest.mark.parametrize(
    ("change", "rule", "value"),
    [
        ({}, "affine.aligned", "none"),
        ({"smallest_overlap": 0.6}, "affine.overlap", "auto"),
        ({"largest_centres_mm": 11.0}, "affine.centres", "auto"),
        ({"lncc2": 0.1}, "affine.floor", "auto"),
        ({"lncc2": None}, "affine.unmeasured", "auto"),
        ({"measured": 0}, "affine.unmeasured", "auto"),
    ],
)
def test_the_initial_affine_alignment_is_planned_where_images_are_not_aligned(change, rule, value):
    plan = make_plan(fingerprint("lung", "ct", "ct", "intra", **change), UserOptions(available=ALL))
    assert plan["plan"]["choices"]["affine"]["rule"] == rule
    assert plan["affine"] == value


@pytest.mark.parametrize("model", ["unigradicon", "multigradicon", "unireg"])
@pytest.mark.parametrize(
    ("change", "rule", "value"),
    [
        ({"smallest_overlap": 0.7}, "crop.whole", False),
        ({"smallest_overlap": 0.69}, "crop.overlap", True),
        ({"measured": 0, "smallest_overlap": None}, "crop.unmeasured", False),
    ],
)
def test_a_network_sees_the_shared_part_where_little_is_shared(model, change, rule, value):
    facts = fingerprint("abdomen", "ct", "ct", "inter", **change)
    plan = make_plan(facts, UserOptions(available=ALL, model=model))
    assert plan["plan"]["choices"]["crop"]["rule"] == rule
    assert plan["crop"] is value


def test_ct_that_is_not_in_hounsfield_units_is_never_clipped_as_if_it_were():
    facts = fingerprint("lung", "ct", "ct", "intra")
    facts["channels"]["1"] = channel("ct", hounsfield=False)
    with pytest.raises(UserError, match="--set moving_modality=mr"):
        make_plan(facts, UserOptions(available=ALL))
    settings = {"moving_modality": "mr"}
    plan = make_plan(facts, UserOptions(available=ALL, settings=settings))
    plan = override(plan, "custom", settings)
    assert (plan["fixed_modality"], plan["moving_modality"]) == ("ct", "mr")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["pairs"].update(largest_field_ratio=1.6), "factor of 1.6"),
        (lambda f: f["channels"]["0"].update(largest_anisotropy=4.0), "4 times as long"),
        (lambda f: f["channels"]["1"]["field_mm"].update(p100=[500.0] * 3), "2.9 mm wide"),
        (lambda f: f["pairs"].update(masks_on_both=3), "masks on both"),
        (lambda f: f["channels"]["0"]["modality"].update(conflict=True, declared="CT"), "declared"),
    ],
)
def test_a_plan_holds_the_cautions(change, words):
    facts = fingerprint("lung", "ct", "ct", "intra")
    assert make_plan(facts, UserOptions(available=ALL))["plan"]["cautions"] == []
    change(facts)
    (text,) = make_plan(facts, UserOptions(available=ALL))["plan"]["cautions"]
    assert words in text


def test_a_modality_that_the_user_states_against_the_values_is_a_caution():
    facts = fingerprint("brain", "mr", None, "inter")
    facts["channels"]["1"]["intensity"] = {"hounsfield": 1, "decoded": 5}
    plan = make_plan(facts, UserOptions(available=("mcbo",), modality={"1": "mr"}))
    (text,) = plan["plan"]["cautions"]
    assert text.startswith("the moving images are declared as mr")
    facts["channels"]["1"]["intensity"]["hounsfield"] = 0
    plan = make_plan(facts, UserOptions(available=("mcbo",), modality={"1": "mr"}))
    assert plan["plan"]["cautions"] == []


def test_a_model_outside_its_training_is_called_experimental():
    plan = planned("prostate", "mr", "mr", "intra", model="unigradicon")
    assert plan["plan"]["cautions"][0].startswith("experimental")


def contrast_facts(case):
    if case == "ct and mr":
        return fingerprint("brain", "ct", "mr", "inter")
    if case == "measured":
        return fingerprint("brain", "mr", "mr", "inter", sign=-0.9)
    facts = fingerprint("brain", "mr", "mr", "inter")
    for slot, word in (("0", "T1w"), ("1", "T2w" if case == "declared" else "T1w")):
        facts["channels"][slot]["modality"]["declared"] = word
    return facts


@pytest.mark.parametrize("model", ["unigradicon", "unireg"])
@pytest.mark.parametrize("case", ["ct and mr", "measured", "declared"])
def test_weights_for_one_contrast_are_refused_for_two_unless_forced(model, case):
    options = {"model": model, "widths": dict.fromkeys(ALL, 8), "available": ALL}
    compact = dict.fromkeys(("unigradicon", "multigradicon", "unireg"), "compact")
    facts = contrast_facts(case)
    message = r"one contrast .*; use --model mcbo or --model multigradicon, or add --force"
    with pytest.raises(UserError, match=message):
        make_plan(facts, UserOptions(variants=compact, **options))
    forced = make_plan(facts, UserOptions(variants=compact, force=True, **options))
    assert "for pairs of one contrast" in forced["plan"]["cautions"][0]
    for variants in (compact | {model: "official"}, compact | {model: "own"}):
        make_plan(facts, UserOptions(variants=variants, **options))
    make_plan(facts, UserOptions(variants=compact, **options | {"model": "multigradicon"}))
    make_plan(contrast_facts("same"), UserOptions(variants=compact, **options))


@pytest.mark.parametrize("by_points", [True, False])
def test_a_displacement_beyond_the_search_range_is_a_caution(by_points):
    figures = {"largest_displacement_mm": 30.0, "by_points": by_points}
    facts = fingerprint("prostate", "mr", "us", "intra", **figures)
    (text,) = make_plan(facts, UserOptions(available=ALL))["plan"]["cautions"]
    assert "30 mm" in text
    assert text.startswith("experimental") is by_points


def test_changes_make_a_new_plan_that_inherits():
    plan = planned("lung", "ct", "ct", "intra")
    before = copy.deepcopy(plan)
    changed = override(plan, "refined", {"refine": 20})
    assert plan == before
    assert changed["refine"] == 20
    assert changed["plan"]["inherits"] == "default"
    assert changed["plan"]["choices"]["refine"]["rule"] == "user"
    assert difference(plan, changed).startswith("refine: 50 -> 20")
    assert "inherits from default" in explain(changed)
    with pytest.raises(UserError, match="did you mean refine"):
        override(plan, "x", {"refin": 50})
    with pytest.raises(UserError, match="choose another"):
        override(plan, "default", {"refine": 50})


def test_the_explanation_names_every_value_with_rule_and_reason():
    plan = planned("lung", "ct", "ct", "intra")
    text = explain(plan)
    for name, choice in plan["plan"]["choices"].items():
        line = next(row for row in text.splitlines() if row.split()[0] == name)
        assert f"[{choice['rule']}] {choice['because']}" in line


@pytest.mark.parametrize(
    "options",
    [
        {"model": "voxelmorph"},
        {"anatomy": "elbow"},
        {"modality": {"0": "xray"}},
        {"modality": {"7": "ct"}},
    ],
)
def test_unknown_words_are_refused(options):
    with pytest.raises(UserError, match=r"not known|no such slot"):
        planned("lung", "ct", "ct", "intra", **options)


def test_errors_in_the_data_are_a_caution():
    facts = fingerprint("brain", "mr", "mr", "inter")
    broken = {"id": "truncated", "file": "a.nii.gz", "what": "is truncated", "level": "error"}
    facts["problems"] = [broken, {**broken, "id": "slope", "level": "warning"}]
    (text,) = make_plan(facts, UserOptions(available=("mcbo",)))["plan"]["cautions"]
    assert text.startswith("1 error in the data, the first: a.nii.gz is truncated")
