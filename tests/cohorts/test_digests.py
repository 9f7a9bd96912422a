"""A digest changes with everything that a result depends on, and with nothing else."""

import json
import os
from dataclasses import replace

import pytest
import torch
from support.cohort_cases import write_result

from zoo.cohorts.digests import files_by_role, pair_digest, settings_digest, weights_sha256
from zoo.cohorts.jobs import plan_cohort
from zoo.cohorts.record import is_finished
from zoo.geometry import Transform
from zoo.hub.bundles import bundle_folder
from zoo.hub.weights import sha256_of
from zoo.io.transforms import write_transform


def test_a_result_is_valid_only_for_the_bytes_of_all_files(cohort):
    job = cohort.jobs[0]
    write_result(cohort, job)
    roles = dict(files_by_role(job.files))
    assert set(roles) == {
        "fixed", "moving.0", "fixed_labels", "moving_labels", "fixed_points", "moving_points"
    }  # fmt: skip
    for path in roles.values():
        assert is_finished(job, cohort)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert not is_finished(job, cohort), path
        path.write_bytes(content)
    assert is_finished(job, cohort)
    roles["moving_points"].unlink()
    assert not is_finished(job, cohort)


def test_the_space_of_the_points_is_part_of_the_digest(cohort):
    files = cohort.jobs[0].files
    other = replace(files, points_space="lps")
    assert pair_digest(files, "")["sha256"] != pair_digest(other, "")["sha256"]
    assert pair_digest(files, "")["sha256"] != pair_digest(files, "settings")["sha256"]


def test_a_moved_dataset_with_a_new_timestamp_has_the_same_digest(cohort, tmp_path):
    known = cohort.digest(cohort.jobs[0])
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    plan = cohort.plan | {"dataset_dir": str(tmp_path / "elsewhere")}
    moved = plan_cohort(plan, cohort.folder)
    os.utime(moved.jobs[0].files.fixed)
    assert moved.digest(moved.jobs[0], known)["sha256"] == known["sha256"]


def test_only_a_file_with_a_new_timestamp_is_read_again(cohort):
    """A wrong sha256 in the known digest survives if and only if its file is not read."""
    job = cohort.jobs[0]
    known = cohort.digest(job)
    for part in known["files"].values():
        part["sha256"] = "wrong"
    assert cohort.digest(job, known)["files"] == known["files"]
    os.utime(job.files.fixed)
    files = cohort.digest(job, known)["files"]
    assert [role for role, part in files.items() if part["sha256"] != "wrong"] == ["fixed"]
    assert files["fixed"]["sha256"] == sha256_of(job.files.fixed)


def test_a_changed_setting_changes_the_digest_and_another_location_does_not(cohort):
    plan = cohort.plan
    digest = settings_digest(plan)
    assert settings_digest(plan | {"mode": "paper"}) != digest
    rationale = plan["plan"] | {"content": "another", "cautions": ["a caution"]}
    same = plan | {"dataset_dir": "elsewhere", "split": "test", "plan": rationale}
    assert settings_digest(same) == digest


def test_the_digest_depends_on_the_weights_that_the_bundle_selects(cohort, tmp_path):
    plan = cohort.plan | {"plan": cohort.plan["plan"] | {"model": "unireg"}, "weights": "compact"}
    packaged = bundle_folder("unireg") / "models" / "model_compact.safetensors"
    assert weights_sha256(cohort.plan) is None  # mcbo has no weights
    assert weights_sha256(plan) == sha256_of(packaged)
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(packaged.read_bytes())
    assert weights_sha256(plan | {"weights": str(copy)}) == sha256_of(packaged)


def test_the_content_of_an_affine_file_counts_but_its_name_does_not(cohort, tmp_path):
    def digest(shift, name):
        matrix = torch.eye(4)
        matrix[0, 3] = shift
        write_transform(tmp_path / name, Transform(matrix), None)
        return settings_digest(cohort.plan | {"affine": str(tmp_path / name)})

    assert digest(1, "own.tfm") == digest(1, "moved.tfm") != digest(2, "own.tfm")


def test_the_content_of_a_preset_counts_but_its_name_does_not(cohort, tmp_path):
    def digest(mode, name):
        (tmp_path / name).write_text(json.dumps({"mode": mode}))
        return settings_digest(cohort.plan | {"preset": str(tmp_path / name)})

    assert digest("fast", "a.json") == digest("fast", "b.json") != digest("paper", "a.json")


@pytest.mark.parametrize("affine", ["none", "rigid"])
def test_the_kind_of_the_initial_alignment_counts(cohort, affine):
    assert settings_digest(cohort.plan | {"affine": affine}) != settings_digest(cohort.plan)
