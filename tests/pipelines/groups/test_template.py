"""Templates of subjects whose mean shape is known."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from support.dask_clusters import cluster_in_this_process
from support.group_cases import (
    anatomy_of,
    correlation,
    draw,
    paired_maps,
    voxels,
    write_subjects,
)
from support.quick_registrations import SETTINGS
from support.quick_registrations import WORDS as QUICK

import zoo
from zoo import cli
from zoo.cohorts.clusters import quiet_dask
from zoo.errors import UserError
from zoo.geometry import Transform, warp
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume, write_volume
from zoo.measures import dice_per_label
from zoo.synthesis.phantom import placed_grid

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("symmetry_without_search")]

FAST = {
    "model": "mcbo",
    "modality": "mr",
    "threads": 1,
    "settings": {"affine": "none", "spacing": 4.0, **SETTINGS},
}
PLACED = ("--set", "affine=none", "--set", "spacing=4.0")
WORDS = ("--model", "mcbo", "--modality", "mr", "--threads", "1", *PLACED, *QUICK)
"""The same choices for the command."""
OUTPUTS = (
    *("template.nii.gz", "labels.nii.gz", "labels_confidence.nii.gz"),
    *(f"transforms/s{k}_t1{end}.nii.gz" for k in range(4) for end in ("", "_inverse")),
)


def four_maps():
    return [*paired_maps(11), *paired_maps(12)]


def moved(seed):
    """Return an affine map for one of two subjects; the other one gets its inverse."""
    random = torch.Generator().manual_seed(seed)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] += 0.05 * torch.randn(3, 4, generator=random, dtype=torch.float64)
    matrix[:3, 3] *= 60
    return matrix


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four subjects on four grids: opposite displacements, and inverse affine maps."""
    folder = tmp_path_factory.mktemp("group") / "data"
    shift = [m for k in (1, 2) for m in (moved(k), torch.linalg.inv(moved(k)))]
    write_subjects(folder, four_maps(), shift=shift)
    return folder


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    return zoo.template(data, out=tmp_path_factory.mktemp("made") / "out", iterations=2, **FAST)


def content(folder):
    return {name: (folder / name).read_bytes() for name in OUTPUTS}


def begin_with(made, out):
    """Begin with all iterations but the last one of a template that is made."""
    for number in ("0", "1"):
        shutil.copytree(made.folder / "iterations" / number, out / "iterations" / number)


def mean_dice(one, two):
    labels = range(1, int(two.max()) + 1)
    values = dice_per_label(one.int(), two.int(), labels).values()
    return float(np.mean([value for value in values if value is not None]))


def test_the_template_is_nearer_to_the_mean_shape_than_any_subject(data, made):
    template = read_volume(made.folder / "template.nii.gz")
    labels = read_volume(made.folder / "labels.nii.gz")
    image, truth = draw(anatomy_of(), template.grid, voxels(template.grid))
    own, own_dice = correlation(template.data, image), mean_dice(labels.data, truth)
    for k in range(4):
        subject = read_volume(data / f"s{k}_t1.nii.gz")
        theirs = read_volume(data / f"s{k}_labels.nii.gz")
        put = [
            warp(v.data[None], v.grid, template.grid, Transform.identity(), interpolation=how)[0]
            for v, how in ((subject, "linear"), (theirs, "nearest"))
        ]
        assert own > correlation(put[0], image) + 0.03
        assert own_dice > mean_dice(put[1], truth) + 0.1
    first = read_volume(made.folder / "iterations" / "0" / "template.nii.gz")
    assert own > correlation(first.data, image)


def test_the_iterations_sharpen_the_template_and_approach_the_mean(made):
    rows = made.document["iterations"]
    assert [row["iteration"] for row in rows] == [0, 1, 2]
    assert rows[0]["sharpness"] < rows[2]["sharpness"] < rows[2]["sharpness_of_subjects"]
    assert rows[2]["change"] < rows[1]["change"]
    assert rows[2]["bias_mm"] < 2.9 / 4  # a quarter of a voxel
    assert all(row["left_out"] == {} for row in rows)


def test_the_transforms_lead_to_the_subjects_and_back(data, made):
    template = read_volume(made.folder / "template.nii.gz")
    centre = template.grid.centre
    points = centre + 20 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 10
    for k in range(4):
        onto = read_transform(made.folder / "transforms" / f"s{k}_t1.nii.gz")
        back = read_transform(made.folder / "transforms" / f"s{k}_t1_inverse.nii.gz")
        there = onto.map_points(points)
        assert float((back.map_points(there) - points).norm(dim=1).mean()) < 0.3
        subject = read_volume(data / f"s{k}_t1.nii.gz")
        warped = warp(subject.data[None], subject.grid, template.grid, onto)[0]
        assert correlation(warped, template.data) > 0.9


def test_the_mean_of_the_transforms_is_the_identity(made):
    grid = read_volume(made.folder / "template.nii.gz").grid
    inner = voxels(grid)
    inner = inner[(inner - grid.centre).norm(dim=1) < 25]
    moved_to = [
        read_transform(made.folder / "transforms" / f"s{k}_t1.nii.gz").map_points(inner)
        for k in range(4)
    ]
    mean = torch.stack(moved_to).mean(dim=0)
    alone = torch.stack([(m - inner).norm(dim=1).mean() for m in moved_to])
    assert float((mean - inner).norm(dim=1).mean()) < 0.25 * float(alone.mean())


def test_a_second_request_computes_nothing_and_changes_nothing(data, made):
    before = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*") if p.is_file()}
    again = zoo.template(data, out=made.folder, iterations=2, **FAST)
    assert again.document == made.document
    after = {p: p.stat().st_mtime_ns for p in made.folder.rglob("*") if p.is_file()}
    assert {p: t for p, t in after.items() if p.name not in ("lock",)} == {
        p: t for p, t in before.items() if p.name not in ("lock",)
    }
    assert not list(made.folder.rglob("pairs"))


def test_names_and_order_of_the_files_do_not_change_the_template(data, made, tmp_path):
    names = {3: "a", 1: "b", 0: "c", 2: "d"}
    (tmp_path / "data").mkdir()
    for k, name in names.items():
        for kind in ("t1", "labels"):
            source = data / f"s{k}_{kind}.nii.gz"
            (tmp_path / "data" / f"{name}_{kind}.nii.gz").write_bytes(source.read_bytes())
    zoo.template(tmp_path / "data", out=tmp_path / "out", iterations=1, **FAST)
    for number in ("0", "1"):
        one, other = (
            f / "iterations" / number / "template.nii.gz" for f in (made.folder, tmp_path / "out")
        )
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_command_resumes_with_the_same_bytes(data, made, tmp_path):
    out = tmp_path / "out"
    begin_with(made, out)
    words = ["template", str(data), "--out", str(out), "--iterations", "2", "--quiet", *WORDS]
    process = subprocess.Popen([sys.executable, "-m", "zoo", *words])
    pairs = out / "iterations" / "2" / "pairs"
    while process.poll() is None and not list(pairs.glob("*/result.json")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    kept = {p: p.stat().st_mtime_ns for p in pairs.glob("*/result.json")}
    assert kept
    assert not (out / "template.json").exists()
    assert cli.run(words) == 0
    assert content(out) == content(made.folder)


def test_the_workers_of_a_scheduler_give_the_same_bytes_as_one_process(data, made, tmp_path):
    out = tmp_path / "out"
    begin_with(made, out)
    with quiet_dask(), cluster_in_this_process(2) as cluster:
        zoo.template(data, out=out, iterations=2, scheduler=cluster.scheduler_address, **FAST)
    assert content(out) == content(made.folder)


def test_a_subject_that_cannot_be_registered_is_left_out_and_named(data, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for k in range(2):
        (folder / f"s{k}_t1.nii.gz").write_bytes((data / f"s{k}_t1.nii.gz").read_bytes())
    grid = placed_grid((20, 19, 19), (5.7, 5.8, 5.7))
    noise = torch.rand(grid.shape, generator=torch.Generator().manual_seed(5))
    write_volume(folder / "noise_t1.nii.gz", noise, grid)
    words = ["template", str(folder), "--out", str(tmp_path / "out"), "--iterations", "1", *WORDS]
    assert cli.run(words) == 1
    document = json.loads((tmp_path / "out" / "template.json").read_text())
    assert list(document["left_out"]) == ["noise_t1"]
    assert [row["name"] for row in document["subjects"]] == ["s0_t1", "s1_t1"]
    assert not (tmp_path / "out" / "transforms" / "noise_t1.nii.gz").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": 0}, "--iterations 0 must be 1 or more"),
        ({"spacing": -1.0}, "--spacing -1 must be a voxel size"),
        ({"workers": 0}, "--workers 0 must be 1 or more"),
        ({"out": None}, "the folder for the results is missing"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_written(data, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        zoo.template(data, **{"out": tmp_path / "out", **FAST, **changes})
    assert not (tmp_path / "out").exists()


def test_one_image_is_no_group(data, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one.nii.gz").write_bytes((data / "s0_t1.nii.gz").read_bytes())
    with pytest.raises(UserError, match="has 1 images, and a template needs at least 2"):
        zoo.template(tmp_path / "data", out=tmp_path / "out", **FAST)
