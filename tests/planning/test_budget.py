"""The memory budget of a plan, with invented measurements."""

from dataclasses import replace

import pytest
from support.planning_facts import ALL, fingerprint

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.planning import memory, plan
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
    """Let plans refine the weights of the network, which no specification does by default."""

    def find_model(name):
        spec = load_catalogue()[name]
        defaults = {**spec.planning.defaults, **WEIGHTS}
        return replace(spec, planning=replace(spec.planning, defaults=defaults))

    monkeypatch.setattr(plan, "find_model", find_model)


def planned(facts, mib, **options):
    return make_plan(fingerprint(*facts), UserOptions(available=ALL, memory_mib=mib, **options))


def changes(plan):
    """Return what the budget changed."""
    choices = plan["plan"]["choices"].items()
    changed = {k: c["value"] for k, c in choices if c["rule"].startswith("memory.")}
    assert all(plan[k] == value for k, value in changed.items())
    return changed


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
def test_a_network_gives_up_precision_then_the_weights_mode_then_refinement_and_no_more(
    measured, weights_mode, mib, expected
):
    assert changes(planned(LUNG, mib)) == expected


def test_a_refinement_that_the_user_sets_stays(measured):
    settings = {"refine": 50}
    assert changes(planned(LUNG, 4300.0, settings=settings)) == {}
    with pytest.raises(UserError, match="a run needs 4216 MiB, and --memory allows 4000 MiB"):
        planned(LUNG, 4000.0, settings=settings)


def test_each_step_states_the_memory_it_saves(measured, weights_mode):
    choices = planned(LUNG, 3200.0)["plan"]["choices"]
    assert choices["precision"]["because"] == (
        "a run needs 6359 MiB, and --memory allows 3200 MiB: half precision reduces it to 5288 MiB"
    )
    assert choices["refine"]["rule"] == "memory.refine"
    assert choices["refine"]["because"].endswith("no refinement reduces it to 3144 MiB")


def test_a_mix_that_was_not_measured_is_passed_over(measured, weights_mode, monkeypatch):
    known = {k: v for k, v in MADE_UP.items() if "bfloat16" not in k}
    monkeypatch.setattr(memory, "memory_models", lambda: known)
    assert changes(planned(LUNG, 4000.0)) == {"refine": 0}
    with pytest.raises(UserError, match="a run needs 3680 MiB, and --memory allows 3200 MiB"):
        planned(LUNG, 3200.0)


def test_what_the_user_sets_stays(measured, weights_mode):
    with pytest.raises(UserError, match="a run needs 6359 MiB"):
        planned(LUNG, 3000.0, settings=WEIGHTS | {"precision": "float32"})
    assert changes(planned(LUNG, 1500.0, settings={"size": [65, 65, 65]})) == {}
    with pytest.raises(UserError, match="mcbo: a run needs 3700 MiB"):
        planned(PROSTATE, 3000.0, settings={"spacing": 1.0})


def test_narrow_weights_need_less(measured, weights_mode):
    assert changes(planned(LUNG, 2200.0, widths={"unigradicon": 4})) == {}


def test_a_run_that_cannot_fit_is_refused_with_the_numbers(measured):
    with pytest.raises(UserError, match="a run needs 3144 MiB, and --memory allows 2000 MiB"):
        planned(LUNG, 2000.0, settings={"refine_mode": "field"})
    with pytest.raises(UserError, match="mcbo: a run needs 3700 MiB, and --memory allows 510 MiB"):
        planned(PROSTATE, 510.0)


def test_an_extrapolated_number_is_marked(measured):
    facts = fingerprint(*PROSTATE)
    facts["channels"]["0"]["field_mm"]["p100"] = [250.0] * 3
    with pytest.raises(UserError, match="extrapolated: measured up to 9 million voxels"):
        make_plan(facts, UserOptions(available=ALL, memory_mib=510.0))


def test_images_that_are_too_large_without_a_model_are_refused(measured):
    facts = fingerprint(*PROSTATE)
    facts["channels"]["1"]["largest_voxels"] = 40_000_000
    with pytest.raises(UserError, match=r"images alone \(up to 40 million voxels\) need 4400 MiB"):
        make_plan(facts, UserOptions(available=ALL, memory_mib=4000.0))


def test_the_memory_of_unireg_is_that_of_the_grid_of_its_region(measured):
    facts = ("abdomen", "ct", "ct", "inter")
    assert planned(facts, 1700.0)["plan"]["model"] == "unireg"
    with pytest.raises(UserError, match="unireg: a run needs 1680 MiB"):
        planned(facts, 1600.0)


def test_settings_that_were_not_measured_are_refused(measured):
    with pytest.raises(UserError, match=r"width=7 .* was not measured"):
        planned(LUNG, 2000.0, widths={"unigradicon": 7})


def test_the_packaged_lines_are_not_below_the_measurements_and_not_far_above():
    for model in memory.memory_models().values():
        assert len(model.points) >= 3
        for voxels, mib in model.points.items():
            assert mib <= model.peak_mib(int(voxels)) + 1
        spread = max(model.residuals_mib) - min(model.residuals_mib)
        assert spread < 0.25 * max(model.points.values())


@pytest.mark.parametrize("name", load_catalogue())
def test_every_packaged_model_was_measured_with_its_default_settings(name):
    spec = load_catalogue()[name]
    assert memory.measurement_name(spec, spec.planning.defaults) in memory.memory_models()


def test_a_budget_below_ten_mib_is_not_rounded_to_nothing(measured):
    with pytest.raises(UserError, match=r"--memory allows 0\.001 MiB"):
        planned(PROSTATE, 0.001)


@pytest.mark.parametrize(
    ("text", "mib"), [("8GB", 8192), ("512 MiB", 512), ("1.5g", 1536), ("1048576", 1)]
)
def test_amounts_of_memory(text, mib):
    assert parse_memory(text) == mib


@pytest.mark.parametrize("text", ["", "much", "-3GB", "0", "8 XB"])
def test_a_text_that_is_not_an_amount_of_memory_is_refused(text):
    with pytest.raises(UserError, match="--memory 8GB"):
        parse_memory(text)
