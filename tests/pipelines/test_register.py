"""The steps of a registration: plan, registration, results."""

import json

import pytest

from zoo import UserError
from zoo.io.volume import write_volume
from zoo.pipelines import RegistrationOptions
from zoo.pipelines.register import absolute_files, register_files
from zoo.synthesis.phantom import make_pair


@pytest.fixture
def pair(tmp_path, monkeypatch):
    phantom = make_pair(2, shape=(26, 24, 22))
    for name in ("fixed", "moving"):
        grid = getattr(phantom, f"{name}_grid")
        write_volume(tmp_path / f"{name}.nii", getattr(phantom, name), grid)
        write_volume(tmp_path / f"{name}_labels.nii", getattr(phantom, f"{name}_labels"), grid)
    monkeypatch.chdir(tmp_path)
    return {"fixed": "fixed.nii", "moving": "moving.nii"}


def test_files_are_recorded_by_their_absolute_paths(pair, tmp_path):
    options = RegistrationOptions("fixed.nii", "moving.nii,fixed.nii", moving_mask="mask.nii")
    files = absolute_files(options)
    assert files.fixed == tmp_path / "fixed.nii"
    assert files.moving == (tmp_path / "moving.nii", tmp_path / "fixed.nii")
    assert files.moving_mask == tmp_path / "mask.nii"
    assert files.fixed_mask is None


def test_an_existing_file_with_a_comma_in_its_name_is_one_image(pair, tmp_path):
    (tmp_path / "b, c.nii").touch()
    files = absolute_files(RegistrationOptions("fixed.nii", "b, c.nii"))
    assert files.moving == (tmp_path / "b, c.nii",)


def test_the_plan_is_known_before_the_registration_and_the_result_is_the_file(pair, tmp_path):
    plans = []

    def on_plan(plan):
        assert not (tmp_path / "out" / "transform.nii.gz").exists()
        plans.append(plan)

    options = RegistrationOptions(
        **pair, out="out", affine="none", moving_labels="moving_labels.nii", device="cpu"
    )
    registered = register_files(options, on_plan=on_plan)
    assert registered.folder == tmp_path / "out"
    assert plans == [registered.plan] == [json.loads((tmp_path / "out/plan.json").read_text())]
    assert registered.result == json.loads((tmp_path / "out/result.json").read_text())
    assert registered.result["moving_labels"] == str(tmp_path / "moving_labels.nii")
    assert (tmp_path / "out" / "warped_labels.nii.gz").exists()


def test_a_failed_registration_leaves_no_result(pair, tmp_path):
    with pytest.raises(UserError, match=r"missing\.nii"):
        register_files(RegistrationOptions(**pair, out="out", fixed_mask="missing.nii"))
    assert not list(tmp_path.glob("out/transform*"))


def test_a_folder_for_the_results_is_required(pair):
    with pytest.raises(UserError, match="add --out FOLDER"):
        register_files(RegistrationOptions(**pair))
