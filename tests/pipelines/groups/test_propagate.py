"""Labels of several atlases on a target whose labels are known."""

import json
import shutil

import numpy as np
import pytest
import torch
from scipy import ndimage
from support.group_cases import (
    GRIDS,
    anatomy_of,
    draw,
    paired_maps,
    voxels,
    write_subjects,
)
from support.quick_registrations import SETTINGS
from support.quick_registrations import WORDS as QUICK

import zoo
from zoo import cli
from zoo.atlases.weights import FLAT, RADIUS_MM, UNEXPLAINED
from zoo.errors import UserError
from zoo.io.volume import read_volume, write_volume
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
ONE_ATLAS_LABEL = 99
TARGET_GRID = placed_grid((32, 29, 30), (2.8, 3.1, 3.0), "PIR", 12.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four atlases on oblique grids, one with a label of its own, an atlas of noise, a target."""
    folder = tmp_path_factory.mktemp("propagate")
    write_subjects(folder / "atlases", [*paired_maps(11, 6.0), *paired_maps(12, 6.0)])
    own = read_volume(folder / "atlases" / "s1_labels.nii.gz")
    labels = own.data.clone()
    labels[14:17, 14:17, 10:13] = ONE_ATLAS_LABEL
    write_volume(own.path, labels, own.grid)
    noise = torch.rand(GRIDS[0].shape, generator=torch.Generator().manual_seed(5))
    write_volume(folder / "atlases" / "noise_t1.nii.gz", noise, GRIDS[0])
    write_volume(
        folder / "atlases" / "noise_labels.nii.gz", (noise > 0.5).to(torch.uint8), GRIDS[0]
    )
    image, truth = draw(anatomy_of(), TARGET_GRID, voxels(TARGET_GRID))
    write_volume(folder / "target.nii.gz", image, TARGET_GRID)
    write_volume(folder / "truth.nii.gz", truth, TARGET_GRID)
    return folder


@pytest.fixture(scope="module")
def made(data):
    return zoo.propagate(
        data / "atlases",
        data / "target.nii.gz",
        labels=data / "truth.nii.gz",
        out=data / "out",
        **FAST,
    )


def array(path):
    return read_volume(path).data.numpy()


def dice_by_numpy(one, truth):
    values = []
    for label in set(np.unique(truth)) - {0}:
        a, b = one == label, truth == label
        values.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    return np.mean(values)


def test_several_atlases_are_better_than_one_in_the_mean(data, made):
    truth, dice = array(data / "truth.nii.gz"), made.document["dice"]
    for kind, name in (("weighted", "labels"), ("majority", "labels_majority")):
        found = array(made.folder / f"{name}.nii.gz")
        assert dice[kind]["mean"] == pytest.approx(dice_by_numpy(found, truth), rel=1e-6)
        assert dice[kind]["mean"] > np.mean(list(dice["atlases"].values())) + 0.01
    for name, value in dice["atlases"].items():
        warped = array(made.folder / "registrations" / name / "warped_labels.nii.gz")
        assert value == pytest.approx(dice_by_numpy(warped, truth), rel=1e-6)
    assert dice["best_atlas"] == max(dice["atlases"], key=dice["atlases"].get)


def local_weights_by_scipy(target, warped, region):
    a, b = ((x - x[region].mean()) / x[region].std() for x in (target, warped))
    sigma = [max(RADIUS_MM / mm, 0.5) for mm in TARGET_GRID.spacing]

    def mean(x):
        return ndimage.gaussian_filter(
            x, sigma, mode="nearest", radius=[round(3 * s) for s in sigma]
        )

    variances = [np.maximum(mean(x * x) - mean(x) ** 2, 0) for x in (a, b)]
    covariance = mean(a * b) - mean(a) * mean(b)
    r2 = covariance**2 / ((variances[0] + FLAT) * (variances[1] + FLAT))
    return 1 / (1 - np.clip(r2, 0, 1) + UNEXPLAINED)


def test_the_votes_are_those_of_an_independent_reference(data, made):
    """The reference has one array per label; voxels where the winner is close may differ."""
    folders = [made.folder / "registrations" / f"s{k}_t1" for k in range(4)]
    labels = [array(folder / "warped_labels.nii.gz") for folder in folders]
    target = array(data / "target.nii.gz").astype(float)
    region = np.any([one != 0 for one in labels], axis=0)
    weights = [
        local_weights_by_scipy(target, array(folder / "warped.nii.gz").astype(float), region)
        for folder in folders
    ]
    names = sorted({*np.unique(labels)} - {ONE_ATLAS_LABEL})
    sums = np.stack(
        [sum(w * (one == n) for w, one in zip(weights, labels, strict=True)) for n in names]
    )
    inside = np.zeros(TARGET_GRID.shape, bool)  # at the border, some atlases do not reach
    inside[5:-5, 5:-5, 5:-5] = True
    found = array(made.folder / "labels.nii.gz")
    expected = np.array(names)[sums.argmax(0)]
    assert (found == expected)[inside].mean() > 0.999
    confidence = array(made.folder / "confidence.nii.gz")
    shares = sums.max(0) / sums.sum(0)
    assert (np.abs(confidence - shares)[inside] < 0.02).mean() > 0.999


def test_what_is_left_out_is_named(made):
    document = made.document
    assert list(document["left_out"]) == ["noise_t1"]
    assert "its registration failed" in document["left_out"]["noise_t1"]
    assert document["labels_left_out"] == [ONE_ATLAS_LABEL]
    assert [row["name"] for row in document["atlases"]] == [f"s{k}_t1" for k in range(4)]
    assert ONE_ATLAS_LABEL not in array(made.folder / "labels.nii.gz")
    assert ONE_ATLAS_LABEL not in array(made.folder / "labels_majority.nii.gz")


def test_volumes_and_agreement_are_those_of_the_files(made):
    found, majority = (
        array(made.folder / f"{name}.nii.gz") for name in ("labels", "labels_majority")
    )
    confidence = array(made.folder / "confidence.nii.gz")
    voxel = 2.8 * 3.1 * 3.0
    rows = made.document["labels"]
    assert [row["label"] for row in rows] == sorted(set(np.unique(found)) - {0})
    for row in rows:
        where = found == row["label"]
        assert row["volume_mm3"] == pytest.approx(where.sum() * voxel, rel=1e-6)
        assert row["volume_majority_mm3"] == pytest.approx(
            (majority == row["label"]).sum() * voxel, rel=1e-6
        )
        assert row["confidence"] == pytest.approx(confidence[where].mean(), rel=1e-4)
        assert 0 < row["agreement"] <= 1


def test_an_added_atlas_is_registered_alone_and_order_does_not_matter(data, made, tmp_path):
    atlases = tmp_path / "atlases"
    atlases.mkdir()

    def add(k, name):
        for kind in ("t1", "labels"):
            source = data / "atlases" / f"s{k}_{kind}.nii.gz"
            (atlases / f"{name}_{kind}.nii.gz").write_bytes(source.read_bytes())

    for k, name in ((3, "a"), (1, "b"), (0, "c")):
        add(k, name)
    target = data / "target.nii.gz"
    words = ["propagate", str(atlases), str(target), "--out", str(tmp_path / "out"), "--quiet"]
    words += WORDS
    assert cli.run(words) == 0
    results = tmp_path / "out" / "registrations"
    before = {p: p.stat().st_mtime_ns for p in results.glob("*/result.json")}
    assert len(before) == 3
    add(2, "d")
    assert cli.run(words) == 0
    after = {p: p.stat().st_mtime_ns for p in results.glob("*/result.json")}
    assert len(after) == 4
    assert {p: after[p] for p in before} == before
    for name in ("labels", "labels_majority", "confidence"):
        one, other = (f / f"{name}.nii.gz" for f in (made.folder, tmp_path / "out"))
        assert one.read_bytes() == other.read_bytes()


def test_two_workers_give_the_same_labels_as_one_process(data, made, tmp_path):
    """The registrations of three atlases are there; the workers add the other two."""
    target, out = data / "target.nii.gz", tmp_path / "out"
    for name in ("s2_t1", "s3_t1", "noise_t1"):
        shutil.copytree(made.folder / "registrations" / name, out / "registrations" / name)
    before = {p: p.stat().st_mtime_ns for p in out.glob("registrations/*/result.json")}
    zoo.propagate(data / "atlases", target, out=out, workers=2, **FAST)
    assert len(before) == 3
    assert {p: p.stat().st_mtime_ns for p in before} == before
    for name in ("labels", "labels_majority", "confidence"):
        one, other = (folder / f"{name}.nii.gz" for folder in (made.folder, out))
        assert one.read_bytes() == other.read_bytes()


def test_a_target_among_the_atlases_does_not_copy_its_own_labels(data, tmp_path, capsys):
    atlases = tmp_path / "atlases"
    atlases.mkdir()
    for k in range(2):
        for kind in ("t1", "labels"):
            source = data / "atlases" / f"s{k}_{kind}.nii.gz"
            (atlases / source.name).write_bytes(source.read_bytes())
    images = [str(atlases / f"s{k}_t1.nii.gz") for k in range(2)]
    labels = [str(atlases / f"s{k}_labels.nii.gz") for k in range(2)]
    words = ["propagate", str(atlases), ",".join(images), "--labels", ",".join(labels)]
    words += ["--out", str(tmp_path / "out"), *WORDS]
    assert cli.run(words) == 0
    assert "mean Dice: weighted" in capsys.readouterr().out
    for k in range(2):
        document = json.loads((tmp_path / "out" / f"s{k}_t1" / "propagate.json").read_text())
        assert [row["name"] for row in document["atlases"]] == [f"s{1 - k}_t1"]
        assert document["dice"]["weighted"]["mean"] < 0.99


def test_a_target_without_atlases_is_refused(data, tmp_path):
    (tmp_path / "atlases").mkdir()
    image = tmp_path / "atlases" / "s0_t1.nii.gz"
    image.write_bytes((data / "atlases" / "s0_t1.nii.gz").read_bytes())
    with pytest.raises(UserError, match="has no image with a label map besides the target target"):
        zoo.propagate(tmp_path / "atlases", data / "target.nii.gz", out=tmp_path / "out", **FAST)
    assert not (tmp_path / "out").exists()


def test_labels_of_another_number_or_of_another_grid_are_refused(data, made, tmp_path):
    target, truth = data / "target.nii.gz", data / "truth.nii.gz"
    with pytest.raises(UserError, match="there are 1 targets and 2 label maps"):
        zoo.propagate(data / "atlases", target, labels=[truth, truth], out=tmp_path / "out", **FAST)
    other = data / "atlases" / "s0_labels.nii.gz"
    with pytest.raises(UserError, match="does not have the grid of"):
        zoo.propagate(data / "atlases", target, labels=other, out=made.folder, **FAST)
    assert (made.folder / "labels.nii.gz").is_file()


def test_an_input_is_not_overwritten(data, tmp_path):
    target = tmp_path / "labels.nii.gz"
    target.write_bytes((data / "target.nii.gz").read_bytes())
    with pytest.raises(UserError, match="would be overwritten"):
        zoo.propagate(data / "atlases", target, out=tmp_path, **FAST)
