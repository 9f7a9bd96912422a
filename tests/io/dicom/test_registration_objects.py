"""DICOM registrations that are written: the object, its references, matrices and vectors."""

import numpy as np
import pydicom
import pytest
import torch
from pydicom.uid import ExplicitVRLittleEndian
from scipy.spatial.transform import Rotation
from support.dicom_cases import CT_IMAGE, small_slices, write_slices
from support.io_cases import AFFINE

from zoo.errors import UserError
from zoo.geometry import Grid, Transform
from zoo.io.dicom.objects import decimal
from zoo.io.dicom.registration import (
    SPATIAL,
    write_registration,
)

FLIP = np.diag([-1.0, -1, 1, 1])


def written(folder, transform=None, *, fixed=None, moving=None):
    """Register a series of 2 slices to one of 3 slices; return the object and both datasets.

    `fixed` and `moving` are attributes of the two series; one of None is removed.
    """
    sides = []
    for name, count, changed in (("fixed", 3, fixed), ("moving", 2, moving)):
        slices = small_slices(count)
        for dataset in slices:
            for keyword, value in (changed or {}).items():
                setattr(dataset, keyword, value)
                if value is None:
                    delattr(dataset, keyword)
        write_slices(folder / name, slices)
        sides.append(slices)
    path = folder / "out.dcm"
    write_registration(path, transform or Transform(AFFINE), folder / "fixed", folder / "moving")
    return pydicom.dcmread(path), *sides


def test_an_object_is_a_dicom_file_of_the_study_of_the_fixed_series(tmp_path):
    out, fixed, _ = written(tmp_path)
    assert (tmp_path / "out.dcm").read_bytes()[:132] == bytes(128) + b"DICM"
    meta = out.file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.FileMetaInformationGroupLength > 0
    assert meta.ImplementationClassUID
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (meta.MediaStorageSOPClassUID, out.SOPClassUID) == (SPATIAL, SPATIAL)
    assert meta.MediaStorageSOPInstanceUID == out.SOPInstanceUID
    assert (out.Modality, out.SeriesNumber, out.InstanceNumber) == ("REG", 1, 1)
    assert out.StudyInstanceUID == fixed[0].StudyInstanceUID
    assert out.FrameOfReferenceUID == fixed[0].FrameOfReferenceUID
    assert out.SeriesInstanceUID not in ("", fixed[0].SeriesInstanceUID, out.SOPInstanceUID)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate",
                    "ReferringPhysicianName", "AccessionNumber"):  # fmt: skip
        assert out[keyword].is_empty, keyword


def test_a_missing_study_is_replaced_by_a_new_one(tmp_path):
    out, _, _ = written(tmp_path, fixed={"StudyInstanceUID": None})
    assert pydicom.uid.UID(out.StudyInstanceUID).is_valid


def images(items):
    """Return the classes and instances that the items of a sequence refer to."""
    return [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items]


def instances(slices):
    """Return the classes and instances of slices in the order in which their files are read."""
    return [(CT_IMAGE, dataset.SOPInstanceUID) for dataset in slices]


def test_a_series_of_another_study_is_referred_to_by_its_study(tmp_path):
    out, fixed, moving = written(tmp_path)
    (own,) = out.ReferencedSeriesSequence
    (study,) = out.StudiesContainingOtherReferencedInstancesSequence
    (other,) = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == moving[0].StudyInstanceUID
    for item, slices in ((own, fixed), (other, moving)):
        assert item.SeriesInstanceUID == slices[0].SeriesInstanceUID
        assert images(item.ReferencedInstanceSequence) == instances(slices)
    for item, slices in zip(out.RegistrationSequence, (fixed, moving), strict=True):
        assert images(item.ReferencedImageSequence) == instances(slices)


@pytest.mark.parametrize("study", ["1.2.9", None])
def test_series_of_the_same_or_an_unknown_study_are_in_one_list(tmp_path, study):
    out, fixed, moving = written(
        tmp_path, fixed={"StudyInstanceUID": "1.2.9"}, moving={"StudyInstanceUID": study}
    )
    found = [item.SeriesInstanceUID for item in out.ReferencedSeriesSequence]
    assert found == [fixed[0].SeriesInstanceUID, moving[0].SeriesInstanceUID]
    assert "StudiesContainingOtherReferencedInstancesSequence" not in out


def test_a_series_whose_uid_was_removed_is_not_referred_to(tmp_path):
    out, _, moving = written(tmp_path, fixed={"SeriesInstanceUID": None})
    assert "ReferencedSeriesSequence" not in out
    (study,) = out.StudiesContainingOtherReferencedInstancesSequence
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == moving[0].SeriesInstanceUID


def test_images_whose_uid_was_removed_are_not_referred_to(tmp_path):
    _, fixed, moving = written(tmp_path)
    for path in (tmp_path / "fixed").iterdir():
        dataset = pydicom.dcmread(path)
        del dataset.SOPInstanceUID
        del dataset.file_meta.MediaStorageSOPInstanceUID
        dataset.save_as(path)
    write_registration(
        tmp_path / "b.dcm", Transform(AFFINE), tmp_path / "fixed", tmp_path / "moving"
    )
    out = pydicom.dcmread(tmp_path / "b.dcm")
    assert len(fixed) == 3
    assert "ReferencedSeriesSequence" not in out
    first, second = out.RegistrationSequence
    assert images(first.ReferencedImageSequence) == []
    assert images(second.ReferencedImageSequence) == instances(moving)


@pytest.mark.parametrize("side", ["fixed", "moving"])
def test_a_series_without_a_frame_of_reference_is_refused(tmp_path, side):
    with pytest.raises(UserError, match=f"{side} has no Frame of Reference UID"):
        written(tmp_path, **{side: {"FrameOfReferenceUID": None}})


def test_the_first_matrix_is_the_identity_of_the_fixed_series(tmp_path):
    out, fixed, moving = written(tmp_path)
    first, second = out.RegistrationSequence
    assert first.FrameOfReferenceUID == fixed[0].FrameOfReferenceUID
    assert second.FrameOfReferenceUID == moving[0].FrameOfReferenceUID
    expected = (np.eye(4), FLIP @ np.linalg.inv(AFFINE.numpy()) @ FLIP)
    for item, matrix in zip((first, second), expected, strict=True):
        (stored,) = item.MatrixRegistrationSequence[0].MatrixSequence
        values = np.array(stored.FrameOfReferenceTransformationMatrix, float).reshape(4, 4)
        np.testing.assert_allclose(values, matrix, atol=1e-9)


@pytest.mark.parametrize(
    ("linear", "expected"),
    [
        (np.eye(3), "RIGID"),
        (Rotation.from_rotvec([0.3, -0.5, 1.1]).as_matrix(), "RIGID"),
        (np.diag([1, 1, 1 + 4e-7]), "RIGID"),
        (np.diag([1, 1, 1 + 6e-7]), "AFFINE"),
        (np.diag([1, 1 - 6e-7, 1]), "AFFINE"),
        (np.array([[1, 0, 0], [2e-6, 1, 0], [0, 0, 1.0]]), "AFFINE"),
        (np.diag([-1.0, 1, 1]), "AFFINE"),  # a mirror image is no rotation
        (-np.eye(3), "AFFINE"),
        (AFFINE[:3, :3].numpy(), "AFFINE"),
    ],
)
def test_the_matrix_is_called_rigid_if_it_only_turns_and_shifts(tmp_path, linear, expected):
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, [30, -20, 10]
    out, _, _ = written(tmp_path, Transform(torch.from_numpy(affine)))
    (stored,) = out.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence
    assert stored.FrameOfReferenceTransformationMatrixType == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1 + 0.2, "0.3"),
        (-2.5, "-2.5"),
        (123456789.123456, "123456789.123456"),  # 16 characters
        (-123456789.123456, "-123456789.12346"),
        (1 / 3, "0.33333333333333"),
        (-1 / 3, "-0.3333333333333"),
        (1e-7 / 3, "3.3333333333e-08"),
        (-2e-7 / 3, "-6.666666667e-08"),
    ],
)
def test_decimal_strings_have_at_most_16_characters(value, expected):
    assert decimal(value) == expected
    assert len(expected) <= 16


def test_the_field_is_written_on_the_grid_of_the_transform(tmp_path):
    affine = torch.diag(torch.tensor([-0.5, -0.25, 0.4, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([3.0, 5.0, 7.0])
    field = torch.arange(3 * 24.0).reshape(3, 4, 3, 2)
    transform = Transform(AFFINE, field, Grid((4, 3, 2), affine))
    out, _, moving = written(tmp_path, transform)
    (stored,) = out.DeformableRegistrationSequence
    assert stored.SourceFrameOfReferenceUID == moving[0].FrameOfReferenceUID
    (grid,) = stored.DeformableRegistrationGridSequence
    assert [float(v) for v in grid.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    assert [float(v) for v in grid.ImagePositionPatient] == [-3, -5, 7]
    assert grid.GridDimensions == [4, 3, 2]
    assert grid.GridResolution == [0.5, 0.25, 0.4]
    vectors = np.frombuffer(grid.VectorGridData, "<f4").reshape(2, 3, 4, 3)
    assert vectors[1, 2, 3].tolist() == [-23, -47, 71]
    assert vectors[0, 1, 3].tolist() == [-20, -44, 68]
