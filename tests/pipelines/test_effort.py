"""The effort of a registration: in its plan and its result, and refused where it has no meaning."""

import json

import pytest
from support.command_line import refusal

import zoo
from zoo import UserError
from zoo.io.volume import write_volume
from zoo.pipelines import RegistrationOptions
from zoo.pipelines.plan import plan
from zoo.pipelines.register import register_files
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

SMALL = {"solver_settings": {"adam_iterations": [2, 2]}}


@pytest.fixture
def pair(tmp_path, monkeypatch):
    phantom = make_pair(2, shape=(26, 24, 22), spacing=(2, 2.4, 3), axes="LPS", tilt_degrees=10)
    for name in ("fixed", "moving"):
        write_volume(
            tmp_path / f"{name}.nii", getattr(phantom, name), getattr(phantom, f"{name}_grid")
        )
    monkeypatch.chdir(tmp_path)
    return {"fixed": "fixed.nii", "moving": "moving.nii", "affine": "none", "settings": SMALL}


def registered(pair, **more):
    return register_files(RegistrationOptions(**pair, out="out", report=False, **more))


@pytest.mark.parametrize("effort", [None, "fast", "best"])
def test_plan_and_result_record_the_effort(pair, tmp_path, effort):
    found = registered(pair, effort=effort)
    written = json.loads((tmp_path / "out/plan.json").read_text())
    assert written["plan"]["effort"] == found.result["plan"]["effort"] == (effort or "normal")
    fluid = {"fast": "never", None: "auto", "best": "thorough"}
    assert found.result["settings"]["fluid"] == fluid[effort]
    assert ("candidates" in found.result) == (effort == "best")
    assert written.get("most_voxels") == (1_500_000 if effort == "fast" else None)


def test_the_effort_of_a_plan_is_kept_or_changed(pair, tmp_path):
    registered(pair, effort="fast")
    (tmp_path / "fast.json").write_text((tmp_path / "out/plan.json").read_text())
    again = registered(pair, plan="fast.json")
    assert again.plan["plan"]["effort"] == "fast"
    other = registered(pair, plan="fast.json", effort="best")
    assert other.plan["plan"]["effort"] == "best"
    assert "most_voxels" not in other.plan
    assert other.result["candidates"]["chosen"] == "search"  # so small a pair is not refined
    assert plan("fast.json", effort="normal")["plan"]["effort"] == "normal"
    assert plan("fast.json")["plan"]["effort"] == "fast"


def test_a_misspelt_effort_is_refused_with_the_nearest_name(pair, tmp_path, capsys):
    words = ["register", "fixed.nii", "moving.nii", "--out", "out", "--effort", "bset"]
    message = "--effort must be fast, normal or best, not 'bset' (did you mean best?)"
    assert message in refusal(capsys, *words)
    with pytest.raises(UserError, match=r"'bset' is not known \(did you mean best\?\)"):
        zoo.register("fixed.nii", "moving.nii", effort="bset")
    assert not (tmp_path / "out").exists()


def test_a_bundle_makes_no_plan_and_so_has_no_effort(pair):
    with pytest.raises(UserError, match=r"--bundle .* cannot be combined with --effort"):
        registered(pair, bundle="bundles/mcbo", effort="fast")
