import shutil
from dataclasses import replace

import pytest

from zoo import UserError
from zoo.cohorts.disk_space import require_space, result_bytes


def test_the_size_of_a_result_is_that_of_its_files_without_compression(cohort):
    voxels, other = 16**3, 256 << 10
    vector, image, labels = 12, 2, 2
    job = cohort.jobs[0]
    light = result_bytes(job, replace(cohort, plan=cohort.plan | {"report": "light"}))
    assert light == voxels * (vector + image + labels) + (4 << 20) + other
    assert result_bytes(job, cohort) == light + (8 << 20)  # the limit of a page with the viewer
    plan = cohort.plan | {"inverse": True, "format": "both", "learn2reg": True, "report": False}
    expected = voxels * (5 * vector + image + labels) + other
    assert result_bytes(job, replace(cohort, plan=plan)) == expected
    spread = voxels * 4
    assert result_bytes(job, replace(cohort, plan=plan, uncertainty=8)) == expected + spread


def test_a_run_that_does_not_fit_on_the_disk_is_refused(cohort, monkeypatch):
    free = 3 * result_bytes(cohort.jobs[0], cohort) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))
    with pytest.raises(UserError, match=r"3 pairs need up to 38\.\d MB"):
        require_space(cohort.jobs, cohort, cohort.folder)
    require_space(cohort.jobs[:2], cohort, cohort.folder)


def test_a_pair_that_cannot_be_read_needs_no_space(cohort):
    cohort.jobs[0].files.fixed.write_bytes(b"not an image")
    assert result_bytes(cohort.jobs[0], cohort) == 0
