"""Registration objects and derived series, read back with pydicom and SimpleITK alone."""

import gzip

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import map_coordinates
from support.command_line import refusal, run
from support.dicom_cases import NAME, OBLIQUE, PATIENT, write_series
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo.geometry import Grid, Transform
from zoo.io.dicom.registration import DEFORMABLE, SPATIAL
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import read_header, read_volume

LPS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture
def study(tmp_path):
    """A fixed and a moving series in frames of reference of their own."""
    write_series(tmp_path / "fixed", direction=OBLIQUE, shape=(16, 14, 12))
    write_series(tmp_path / "moving", direction=np.eye(3), shape=(15, 13, 11))
    return tmp_path


def by_the_standard(path, points):
    """Map points (n, 3), LPS mm, by the equation of PS3.3 C.20.3.1.1."""
    item = pydicom.dcmread(path).DeformableRegistrationSequence[0]
    matrices = [
        np.array(m[0].FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
        for m in (
            item.PreDeformationMatrixRegistrationSequence,
            item.PostDeformationMatrixRegistrationSequence,
        )
    ]
    grid = item.DeformableRegistrationGridSequence[0]
    x, y = np.array(grid.ImageOrientationPatient, float).reshape(2, 3)
    axes = np.stack([x, y, np.cross(x, y)])  # rows
    index = (points - np.array(grid.ImagePositionPatient, float)) @ axes.T / grid.GridResolution
    columns, rows, slices = grid.GridDimensions
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(slices, rows, columns, 3)
    offset = np.stack(
        [map_coordinates(vectors[..., c], index[:, ::-1].T, order=1) for c in range(3)], axis=1
    )
    pre, post = matrices
    moved = points @ pre[:3, :3].T + pre[:3, 3] + offset
    return moved @ post[:3, :3].T + post[:3, 3]


@pytest.mark.parametrize("scale", [1, 0.25])
@pytest.mark.parametrize("name", ["RAS", "LPS", "LAS", "oblique anisotropic LAS", "permuted PIR"])
def test_a_deformable_registration_maps_points_as_the_standard_says(study, name, scale):
    smaller = torch.diag(torch.tensor([scale, scale, scale, 1.0], dtype=torch.float64))
    grid = Grid(GRIDS[name].shape, GRIDS[name].affine @ smaller)
    transform = smooth_transform(grid)
    series = (study / "fixed", study / "moving")
    write_transform(study / "out.dcm", transform, grid, series=series)
    points = inner_points(grid, 300)
    expected = transform.map_points(points).numpy()
    found = by_the_standard(study / "out.dcm", points.numpy() * LPS) * LPS
    assert max_distance(found, expected) < 0.001
    again = read_transform(study / "out.dcm")
    assert max_distance(again.map_points(points), expected) < 0.001


def test_a_matrix_before_the_deformation_is_understood(study):
    grid = GRIDS["oblique RAS"]
    write_transform(
        study / "a.dcm", smooth_transform(grid), grid, series=(study / "fixed", study / "moving")
    )
    dataset = pydicom.dcmread(study / "a.dcm")
    pre = np.eye(4)
    pre[:3] = [[0.96, 0.1, 0, 3], [-0.1, 0.97, 0.05, -2], [0, 0, 1.02, 1]]
    item = dataset.DeformableRegistrationSequence[0]
    (stored,) = item.PreDeformationMatrixRegistrationSequence
    stored.FrameOfReferenceTransformationMatrix = pre.ravel().tolist()
    dataset.save_as(study / "b.dcm")
    points = inner_points(grid, 200)
    expected = by_the_standard(study / "b.dcm", points.numpy() * LPS) * LPS
    found = read_transform(study / "b.dcm").map_points(points)
    assert max_distance(found, expected) < 0.001


def test_a_spatial_registration_holds_the_map_from_moving_to_fixed(study):
    path = study / "out.dcm"
    write_transform(path, Transform(AFFINE), None, series=(study / "fixed", study / "moving"))
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID == SPATIAL
    fixed, moving = (pydicom.dcmread(next((study / s).iterdir())) for s in ("fixed", "moving"))
    assert dataset.FrameOfReferenceUID == fixed.FrameOfReferenceUID
    item = dataset.RegistrationSequence[1]
    assert item.FrameOfReferenceUID == moving.FrameOfReferenceUID
    matrix = np.array(
        item.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix,
        float,
    ).reshape(4, 4)
    at_fixed = np.array([[12.0, -31, 7], [0, 0, 0], [40, 8, -60]])  # RAS
    at_moving = at_fixed @ AFFINE.numpy()[:3, :3].T + AFFINE.numpy()[:3, 3]
    back = (at_moving * LPS) @ matrix[:3, :3].T + matrix[:3, 3]
    assert max_distance(back, at_fixed * LPS) < 1e-6
    again = read_transform(path).map_points(torch.from_numpy(at_fixed))
    assert max_distance(again, at_moving) < 1e-6


def test_convert_writes_an_object_that_refers_to_both_series(study, capsys):
    fixed, moving = study / "fixed", study / "moving"
    grid = read_header(fixed).grid
    write_transform(study / "t.nii.gz", smooth_transform(grid), grid)
    words = ["convert", study / "t.nii.gz", study / "out.dcm"]
    error = refusal(capsys, *words)
    assert "give the fixed and the moving image as DICOM series" in error
    assert run(*words, "--fixed", fixed, "--moving", moving) == 0
    dataset = pydicom.dcmread(study / "out.dcm")
    assert dataset.SOPClassUID == DEFORMABLE
    referred = {
        image.ReferencedSOPInstanceUID
        for image in dataset.DeformableRegistrationSequence[0].ReferencedImageSequence
    }
    assert referred == {pydicom.dcmread(file).SOPInstanceUID for file in moving.iterdir()}
    points = inner_points(grid, 300)
    expected = read_transform(study / "t.nii.gz").map_points(points)
    found = by_the_standard(study / "out.dcm", points.numpy() * LPS) * LPS
    assert max_distance(found, expected) < 0.01
    assert run("info", study / "out.dcm") == 0
    assert "transform (dicom), fixed -> moving" in capsys.readouterr().out


def test_a_warped_series_is_a_derived_series_in_the_fixed_space(study):
    fixed, moving = study / "fixed", study / "moving"
    grid = read_header(fixed).grid
    write_transform(study / "t.h5", smooth_transform(grid), grid)
    words = ["warp", moving, study / "t.h5"]
    assert run(*words, study / "warped", "--fixed", fixed) == 0
    assert run(*words, study / "warped.nii.gz", "--fixed", fixed) == 0
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(study / "warped")))
    image, other = reader.Execute(), sitk.ReadImage(str(study / "warped.nii.gz"))
    for method in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(image, method)(), getattr(other, method)(), atol=1e-4)
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (image, other)))
    dataset = pydicom.dcmread(next((study / "warped").iterdir()))
    source = pydicom.dcmread(next(fixed.iterdir()))
    assert dataset.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert dataset.SeriesInstanceUID != source.SeriesInstanceUID
    assert dataset.ImageType[0] == "DERIVED"
    again = read_volume(study / "warped")
    assert again.grid.same_as(grid, 1e-3)


def test_a_warped_series_of_real_numbers_keeps_its_values(study):
    from zoo.io.dicom.derived import write_derived_series

    header = read_header(study / "fixed")
    data = torch.linspace(-3.5, 812.25, header.grid.voxels).reshape(header.grid.shape)
    write_derived_series(study / "w", data, header.grid, study / "fixed", study / "moving")
    assert float((read_volume(study / "w").data - data).abs().max()) < 816 / 65535


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 2.0), (0.7, 0.6, 0.9)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_slices_of_a_warped_series_are_numbered_from_one_along_the_normal(
    study, spacing, mirrored
):
    from zoo.io.dicom.derived import write_derived_series

    grid = Grid((6, 7, 5), read_header(study / "fixed").grid.affine).with_spacing(spacing)
    if mirrored:
        grid = grid.moved(torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0])))
    write_derived_series(
        study / "w", torch.rand(grid.shape), grid, study / "fixed", study / "moving"
    )
    slices = [pydicom.dcmread(path) for path in (study / "w").iterdir()]
    slices.sort(key=lambda one: one.InstanceNumber)
    assert [one.InstanceNumber for one in slices] == list(range(1, grid.shape[2] + 1))
    rows, columns = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    heights = [np.cross(rows, columns) @ np.array(s.ImagePositionPatient, float) for s in slices]
    assert np.diff(heights) == pytest.approx([grid.spacing[2]] * (grid.shape[2] - 1), abs=1e-3)


def test_no_patient_data_are_in_what_is_written(study):
    fixed, moving = study / "fixed", study / "moving"
    grid = read_header(fixed).grid
    write_transform(study / "t.nii.gz", smooth_transform(grid), grid)
    run("convert", study / "t.nii.gz", study / "out.dcm", "--fixed", fixed, "--moving", moving)
    run("warp", moving, study / "t.nii.gz", study / "warped", "--fixed", fixed)
    run("align", fixed, moving, study / "a.tfm", "--warped", study / "a.nii.gz", "--affine", "com")
    written = [
        study / "out.dcm",
        study / "a.tfm",
        study / "a.nii.gz",
        *(study / "warped").iterdir(),
    ]
    assert len(written) == 15
    for path in written:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        for secret in (NAME, NAME.split("^")[0], PATIENT, "19700101"):
            assert secret.encode() not in content, path


def test_a_folder_that_exists_and_images_that_are_no_series_are_refused(study, capsys):
    grid = read_header(study / "fixed").grid
    write_transform(study / "t.h5", smooth_transform(grid), grid)
    words = ["warp", study / "moving", study / "t.h5"]
    assert "needs --fixed" in refusal(capsys, *words, study / "warped")
    (study / "warped").mkdir()
    error = refusal(capsys, *words, study / "warped", "--fixed", study / "fixed")
    assert "exists already" in error
