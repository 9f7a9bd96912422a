"""What a plan changes to stay within the memory that a user allows, against made-up figures."""

import json
from importlib.resources import files

import pytest
from support.planning_facts import ALL, fingerprint

from zoo.errors import UserError
from zoo.planning import memory
from zoo.planning.evidence import UserOptions
from zoo.planning.memory import MemoryModel, parse_memory
from zoo.planning.plan import make_plan


def line(base, slope):
    return MemoryModel(base, slope, {"1000000": 1, "9000000": 2})


MADE_UP = {
    "mcbo mode=accurate": line(500.0, 400.0),
    "images": line(400.0, 100.0),
    "gradicon width=16 refine=weights precision=float32": line(1000.0, 1000.0),
    "gradicon width=16 refine=weights precision=bfloat16": line(1000.0, 800.0),
    "gradicon width=16 refine=field precision=float32": line(1000.0, 600.0),
    "gradicon width=16 refine=field precision=bfloat16": line(1000.0, 600.0),
    "gradicon width=16 refine=off precision=float32": line(1000.0, 500.0),
    "gradicon width=16 refine=off precision=bfloat16": line(1000.0, 400.0),
    "gradicon width=4 refine=weights precision=float32": line(500.0, 300.0),
    "unireg refine=off": line(500.0, 200.0),
}
"""On 5.36 million voxels, in order: -, -, 6359, 5288, 4216, 4216, 3680, 3144, 2108 MiB."""

LUNG = ("lung", "ct", "ct", "intra")
PROSTATE = ("prostate", "mr", "us", "intra")
WEIGHTS = {"refine": 50, "refine_mode": "weights"}


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(memory, "memory_models", lambda: MADE_UP)


@pytest.fixture
def weights_mode(monkeypatch):
    """Plans refine the weights of the network, as no preset does by itself."""
    from zoo.planning import rules

    plain = rules.model_settings
    monkeypatch.setattr(rules, "model_settings", lambda model: plain(model) | WEIGHTS)


def planned(facts, mib, **wishes):
    return make_plan(fingerprint(*facts), UserOptions(available=ALL, memory_mib=mib, **wishes))


def changes(plan):
    """Return what the budget changed."""
    choices = plan["plan"]["choices"].items()
    found = {k: c["value"] for k, c in choices if c["rule"].startswith("memory.")}
    assert all(plan[k] == value for k, value in found.items())
    return found


def test_enough_memory_changes_nothing(measured):
    assert changes(planned(PROSTATE, 3701.0)) == {}
    assert list(changes(planned(PROSTATE, 3699.0))) == ["spacing"]


def test_too_little_memory_makes_the_grid_of_mcbo_coarser_by_the_measured_amount(measured):
    plan = planned(PROSTATE, 1500.0)
    need = 500 + 400 * (200 / plan["spacing"]) ** 3 / 1e6
    assert 1450 < need <= 1500


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (6400, {}),
        (6300, {"precision": "bfloat16"}),
        (5200, {"refine_mode": "field"}),
        (4000, {"refine": 0}),
        (3200, {"precision": "bfloat16", "refine": 0}),
    ],
)
def test_a_network_gives_up_precision_then_the_weights_mode_then_refinement_and_nothing_in_vain(
    measured, weights_mode, mib, expected
):
    assert changes(planned(LUNG, mib)) == expected


def test_a_refinement_that_the_user_asks_for_stays(measured):
    settings = {"refine": 50}
    assert changes(planned(LUNG, 4300.0, settings=settings)) == {}
    with pytest.raises(UserError, match="4216 MiB would be needed, 4000 MiB are allowed"):
        planned(LUNG, 4000.0, settings=settings)


def test_each_step_says_what_it_gives(measured, weights_mode):
    choices = planned(LUNG, 3200.0)["plan"]["choices"]
    assert choices["precision"]["because"] == (
        "6359 MiB would be needed, 3200 MiB are allowed: half precision (5288 MiB)"
    )
    assert choices["refine"]["rule"] == "memory.refine"
    assert choices["refine"]["because"].endswith("no refinement (3144 MiB)")


def test_a_mix_that_was_not_measured_is_passed_over(measured, weights_mode, monkeypatch):
    known = {k: v for k, v in MADE_UP.items() if "bfloat16" not in k}
    monkeypatch.setattr(memory, "memory_models", lambda: known)
    assert changes(planned(LUNG, 4000.0)) == {"refine": 0}
    with pytest.raises(UserError, match="3680 MiB would be needed, 3200 MiB are allowed"):
        planned(LUNG, 3200.0)


def test_what_the_user_sets_stays(measured, weights_mode):
    with pytest.raises(UserError, match="6359 MiB would be needed"):
        planned(LUNG, 3000.0, settings=WEIGHTS | {"precision": "float32"})
    assert changes(planned(LUNG, 1500.0, settings={"size": [65, 65, 65]})) == {}
    with pytest.raises(UserError, match="mcbo: 3700 MiB"):
        planned(PROSTATE, 3000.0, settings={"spacing": 1.0})


def test_narrow_weights_need_less(measured, weights_mode):
    assert changes(planned(LUNG, 2200.0, widths={"unigradicon": 4})) == {}


def test_what_cannot_fit_is_refused_with_the_numbers(measured):
    with pytest.raises(UserError, match=r"3144 MiB would be needed, 2000 MiB are allowed"):
        planned(LUNG, 2000.0, settings={"refine_mode": "field"})
    with pytest.raises(UserError, match=r"mcbo: 3700 MiB would be needed, 510 MiB are allowed"):
        planned(PROSTATE, 510.0)


def test_beyond_what_was_measured_the_numbers_say_so(measured):
    facts = fingerprint(*PROSTATE)
    facts["channels"]["0"]["field_mm"]["p100"] = [250.0] * 3
    with pytest.raises(UserError, match=r"measured up to 9 million voxels, a line beyond"):
        make_plan(facts, UserOptions(available=ALL, memory_mib=510.0))


def test_images_that_are_too_large_by_themselves_are_said(measured):
    facts = fingerprint(*PROSTATE)
    facts["channels"]["1"]["largest_voxels"] = 40_000_000
    with pytest.raises(UserError, match=r"images alone need 4400 MiB \(up to 40 million voxels\)"):
        make_plan(facts, UserOptions(available=ALL, memory_mib=4000.0))


def test_unireg_is_weighed_on_the_lattice_of_its_region(measured):
    facts = ("abdomen", "ct", "ct", "inter")
    assert planned(facts, 1700.0)["plan"]["model"] == "unireg"
    with pytest.raises(UserError, match="unireg: 1680 MiB would be needed"):
        planned(facts, 1600.0)


def test_a_case_that_was_not_measured_says_so(measured):
    with pytest.raises(UserError, match=r"width=7 .* was not measured"):
        planned(LUNG, 2000.0, widths={"unigradicon": 7})


def test_the_lines_that_ship_lie_on_or_above_what_was_measured_and_not_far():
    for model in memory.memory_models().values():
        assert len(model.points) >= 3
        for voxels, mib in model.points.items():
            assert mib <= model.peak_mib(int(voxels)) + 1
        spread = max(model.residuals_mib) - min(model.residuals_mib)
        assert spread < 0.25 * max(model.points.values())
    text = files("zoo.planning").joinpath("memory.json").read_text(encoding="utf-8")
    assert "benchmarks/memory.py" in json.loads(text)["measured"]


@pytest.mark.parametrize(
    ("text", "mib"), [("8GB", 8192), ("512 MiB", 512), ("1.5g", 1536), ("1048576", 1)]
)
def test_amounts_of_memory(text, mib):
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "much", "-3GB", "0", "8 XB"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(UserError, match="--memory 8GB"):
        parse_memory(text)
