"""The pipeline of `regzoo run` returns its result and prints nothing."""

import json

import pytest
import torch
from benchmarks.cohorts import write_dataset, write_plan
from support.quick_registrations import SETTINGS

import zoo
from zoo import cli
from zoo.errors import UserError
from zoo.io.volume import read_volume, write_volume
from zoo.pipelines.run import CohortOptions, run_cohort

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_dataset(folder / "data", 2, 16)
    write_plan(folder / "plan.json", folder / "data", affine="none", report=False, **SETTINGS)
    return folder / "plan.json"


def test_a_second_run_registers_nothing_again(plan, tmp_path, capfd):
    lines = []
    options = CohortOptions(plan, out=tmp_path / "run", threads=1)
    first = run_cohort(options, report=lines.append)
    assert first.complete
    assert first.summary["finished"] == 2
    assert [line[:5] for line in lines] == ["[1/2]", "[2/2]"]
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("*/*")}
    second = run_cohort(options, report=lines.append)
    assert second == first
    assert len(lines) == 2
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("*/*")} == written
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "--workers 0 must be 1 or more"),
        ({"device": "gpu"}, "use cpu, cuda"),
        ({"split": "test"}, "no pairs in the split 'test'"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_written(plan, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run_cohort(CohortOptions(plan, out=tmp_path / "run", threads=1, **options))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def plan_with_noise(tmp_path_factory):
    """The plan of a dataset in which the moving image of one of two pairs is noise."""
    folder = tmp_path_factory.mktemp("noise")
    write_dataset(folder / "data", 2, 24)
    image = folder / "data" / "imagesTr" / "Phantom_0002_0001.nii.gz"
    grid = read_volume(image).grid
    noise = 100 * torch.randn(grid.shape, generator=torch.Generator().manual_seed(0))
    write_volume(image, noise, grid)
    write_plan(folder / "plan.json", folder / "data", affine="none", report=False, **SETTINGS)
    return folder / "plan.json"


def test_strict_is_the_same_for_python_and_the_command(plan_with_noise, tmp_path, capsys):
    name = "Phantom_0002_0000_Phantom_0002_0001"
    with pytest.raises(UserError, match=rf"quality of 1 registrations? is failed \({name}\)"):
        zoo.run(plan_with_noise, out=tmp_path / "run", threads=1, strict=True)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["finished"] == 2
    assert summary["errors"] == []
    assert zoo.run(plan_with_noise, out=tmp_path / "run", threads=1).quality_failed == [name]
    words = ["run", str(plan_with_noise), "--out", str(tmp_path / "run"), "--threads", "1"]
    capsys.readouterr()
    assert cli.run(words) == 0
    assert f"regzoo: {name}: quality failed: " in capsys.readouterr().err
    assert cli.run([*words, "--strict"]) == 3
