"""Motion correction of a 4-D series with known motion."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest
import torch
from support.command_line import refusal, run
from support.dicom_cases import analytic_slices, write_slices
from support.motion_cases import blobs, error_mm, moved_by, oblique_grid, rigid

from zoo.io.nifti import write_nifti
from zoo.io.transforms import read_affine, read_transform
from zoo.io.volume import read_volume

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

GRID = oblique_grid(shape=(30, 32, 16), spacing=(4.0, 4.0, 6.0))
MOTIONS = [
    (0, 0, 0, 0, 0, 0),
    (1, -0.5, 0.4, 1, 0, -1),
    (2, -1, 1, 2, -1, -2.5),
    (2, -1, 1, 2, -1, 0),
]


def truth(k, reference=0):
    """Return the map from frame `reference` to frame k."""
    centre = GRID.centre.numpy()
    maps = [rigid(np.array(m[:3]), m[3:], centre) for m in (MOTIONS[reference], MOTIONS[k])]
    return maps[1] @ np.linalg.inv(maps[0])


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "bold.nii.gz"
    frames = [moved_by(GRID, truth(k), noise=4, seed=k) for k in range(len(MOTIONS))]
    data = torch.stack(frames, dim=-1).round().to(torch.int16)
    write_nifti(path, data.numpy(), GRID, seconds=2.5)
    return path


@pytest.mark.parametrize("reference", [0, None])
def test_the_parameters_and_the_displacement_of_the_frames_are_found(series, tmp_path, reference):
    words = [] if reference is None else ["--reference", reference]
    assert run("motion", series, "--out", tmp_path / "out", *words) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    chosen = result["reference"]
    assert chosen == (2 if reference is None else 0)
    rows = list(csv.DictReader((tmp_path / "out" / "motion.csv").open()))
    assert len(rows) == 4
    for k in range(4):
        found = read_affine(tmp_path / "out" / "transforms" / f"frame_{k:04d}.tfm").numpy()
        assert error_mm(found, truth(k, chosen), GRID.centre.numpy()) < 0.25
    if reference == 0:
        names = ("x_mm", "y_mm", "z_mm", "x_degrees", "y_degrees", "z_degrees")
        values = np.array([[float(row[name]) for name in names] for row in rows])
        np.testing.assert_allclose(values, MOTIONS, atol=0.3)
        fd = [float(row["fd_mm"]) for row in rows]
        change = np.abs(np.diff(np.array(MOTIONS), axis=0))
        expected = change[:, :3].sum(1) + 50 * np.radians(change[:, 3:]).sum(1)
        np.testing.assert_allclose(fd, [0, *expected], atol=0.4)
        assert result["frames_above_0.5_mm"] == 3
    assert (tmp_path / "out" / "motion.png").read_bytes().startswith(b"\x89PNG")


def test_the_corrected_series_resembles_the_reference_in_every_frame(series, tmp_path):
    assert run("motion", series, "--out", tmp_path / "out", "--reference", 0) == 0
    image = nib.load(tmp_path / "out" / "corrected.nii.gz")
    assert image.shape == (*GRID.shape, 4)
    assert image.get_data_dtype() == np.int16
    assert image.header["pixdim"][4] == 2.5
    np.testing.assert_allclose(image.affine, GRID.affine, atol=1e-4)
    data, before = np.asarray(image.dataobj, float), np.asarray(nib.load(series).dataobj, float)
    inner = np.s_[5:-5, 5:-5, 3:-3]
    clean = moved_by(GRID, np.eye(4)).numpy()[inner]
    for k in (1, 2, 3):
        error = np.abs(data[..., k][inner] - clean).mean()
        assert error < 0.4 * np.abs(before[..., k][inner] - clean).mean()


def test_deformable_motion_follows_a_deformation(tmp_path):
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1).reshape(-1, 3)
    world = GRID.to_world(torch.from_numpy(index)).numpy()
    centre = GRID.centre.numpy()

    def squeezed(points):
        """Map points of the second frame to the first one."""
        arm = points - centre
        weight = np.exp(-(arm**2).sum(1, keepdims=True) / (2 * 35**2))
        return points + weight * np.array([6.0, -4, 0])

    frames = [blobs(world), blobs(squeezed(world))]
    data = np.stack([frame.reshape(GRID.shape) for frame in frames], -1).astype(np.float32)
    write_nifti(tmp_path / "cine.nii", data, GRID)
    words = ["motion", tmp_path / "cine.nii", "--out", tmp_path / "out", "--reference", 1]
    assert run(*words, "--kind", "deformable") == 0
    transform = read_transform(tmp_path / "out" / "transforms" / "frame_0000.nii.gz")
    points = centre + np.array([[0.0, 0, 0], [15, 10, 0], [-15, 0, 10], [0, -20, -10]])
    error = np.linalg.norm(transform.map_points(points).numpy() - squeezed(points), axis=1)
    still = np.linalg.norm(points - squeezed(points), axis=1)
    assert error.mean() < 0.5 * still.mean()
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["warnings"] == []


def test_a_second_correction_replaces_the_first(series, tmp_path):
    assert run("motion", series, "--out", tmp_path / "out") == 0
    (tmp_path / "out" / "mine.txt").write_text("stays")
    shorter = nib.Nifti1Image(np.asarray(nib.load(series).dataobj)[..., :2], GRID.affine.numpy())
    shorter.to_filename(tmp_path / "short.nii")
    assert run("motion", tmp_path / "short.nii", "--out", tmp_path / "out") == 0
    names = sorted(p.name for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert names == [
        *("corrected.nii.gz", "frame_0000.tfm", "frame_0001.tfm", "mine.txt"),
        *("motion.csv", "motion.png", "result.json"),
    ]


def test_a_dicom_series_of_several_volumes_is_corrected(tmp_path):
    from pydicom.uid import generate_uid

    uid = generate_uid()
    for k in range(2):
        slices, _ = analytic_slices(shape=(16, 14, 10), series=uid, TemporalPositionIdentifier=k)
        write_slices(tmp_path / "cine" / str(k), slices)
    assert run("motion", tmp_path / "cine", "--out", tmp_path / "out") == 0
    assert read_volume(tmp_path / "out" / "corrected.nii.gz", 1).data.shape == (16, 14, 10)


def test_a_single_volume_and_a_missing_frame_are_refused(series, tmp_path, capsys):
    single = tmp_path / "one.nii"
    write_nifti(single, moved_by(GRID, np.eye(4)).numpy(), GRID)
    assert "has one volume" in refusal(capsys, "motion", single, "--out", tmp_path / "o")
    error = refusal(capsys, "motion", series, "--out", tmp_path / "o", "--reference", 9)
    assert "use a frame from 0 to 3" in error
