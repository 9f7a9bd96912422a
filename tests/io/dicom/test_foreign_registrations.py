"""DICOM registrations that other programs have written: complete or damaged."""

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from support.dicom_cases import OBLIQUE, small_slices

from zoo.errors import UserError
from zoo.io.dicom.registration import DEFORMABLE, SPATIAL, is_registration, read_registration

FLIP = np.diag([-1.0, -1, 1, 1])
FIRST = np.array([[0.9, 0.2, 0, 5], [-0.2, 1.1, 0.1, -3], [0, 0.05, 1.2, 2], [0, 0, 0, 1]])
SECOND = np.array([[1.1, 0, 0.3, -4], [0.1, 0.8, 0, 6], [-0.2, 0, 0.9, 1], [0, 0, 0, 1]])
OWN, LOWER, HIGHER = "1.2.5", "1.2.3", "1.2.7"


def item(**attributes):
    """Return an item of a sequence."""
    out = Dataset()
    for keyword, value in attributes.items():
        setattr(out, keyword, value)
    return out


def matrices(*values):
    """Return the items of matrices, the first of which is applied first."""
    return [item(FrameOfReferenceTransformationMatrix=list(np.ravel(m))) for m in values]


def registration(path, sop_class, **attributes):
    """Write a registration object in the frame of reference `OWN`, and return its path."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    out.SOPClassUID, out.SOPInstanceUID = sop_class, generate_uid()
    out.FrameOfReferenceUID = OWN
    for keyword, value in attributes.items():
        setattr(out, keyword, value)
    out.save_as(path, enforce_file_format=True)
    return path


def spatial(path, *frames):
    """Write a Spatial Registration of frames of reference, each a UID and its matrices."""
    items = [
        item(
            FrameOfReferenceUID=uid,
            MatrixRegistrationSequence=[item(MatrixSequence=matrices(*values))],
        )
        for uid, values in frames
    ]
    return registration(path, SPATIAL, RegistrationSequence=items)


def refusal(path, code=None):
    """Return the message with which a registration object is refused."""
    with pytest.raises(UserError) as raised:
        read_registration(path)
    assert raised.value.code == code
    assert str(raised.value).startswith(str(path))
    return str(raised.value)


@pytest.mark.parametrize("uid", [LOWER, HIGHER, OWN])
def test_the_first_of_several_matrices_is_applied_first(tmp_path, uid):
    path = spatial(tmp_path / "a.dcm", (OWN, [np.eye(4)]), (uid, [FIRST, SECOND]))
    expected = FLIP @ np.linalg.inv(SECOND @ FIRST) @ FLIP
    found = read_registration(path)
    np.testing.assert_allclose(found.affine, expected, atol=1e-12)
    assert found.field is None


def test_an_object_that_moves_nothing_is_the_identity(tmp_path):
    path = spatial(tmp_path / "a.dcm", (OWN, [np.eye(4)]))
    np.testing.assert_array_equal(read_registration(path).affine, np.eye(4))


def test_several_moved_frames_of_reference_are_refused(tmp_path):
    still = [np.eye(4)]
    path = spatial(tmp_path / "a.dcm", (OWN, still), (LOWER, still), (HIGHER, still))
    assert "registers 2 frames of reference to one" in refusal(path)
    path = spatial(tmp_path / "b.dcm", (OWN, [FIRST]), (LOWER, [FIRST]), (HIGHER, [FIRST]))
    assert "registers 3 frames of reference to one" in refusal(path)


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.arange(15.0), "a matrix has the values [0.0, 1.0"),
        (np.arange(17.0), "14.0, 15.0])"),  # the first 16 values are quoted
        (np.where(np.eye(4) > 0, np.nan, 0), "a matrix has the values [nan, 0.0"),
        (np.where(np.eye(4) > 0, np.inf, 0), "a matrix has the values [inf, 0.0"),
        (np.diag([1.0, 0, 1, 1]), "its matrix cannot be inverted"),
        (np.diag([1e-3, 1e-3, 0.9e-3, 1]), "its matrix cannot be inverted"),
    ],
)
def test_damaged_matrices_are_refused(tmp_path, matrix, said):
    path = spatial(tmp_path / "a.dcm", (OWN, [np.eye(4)]), (LOWER, [matrix]))
    assert said in refusal(path, "truncated")


@pytest.mark.parametrize("scales", [(1e-3, 1e-3, 1.1e-3, 1), (-0.5, 0.25, 0.125, 1)])
def test_matrices_that_shrink_or_mirror_are_read(tmp_path, scales):
    path = spatial(tmp_path / "a.dcm", (LOWER, [np.diag(scales)]))
    np.testing.assert_allclose(read_registration(path).affine, np.diag(1 / np.array(scales)))


def test_an_object_without_a_registration_is_damaged(tmp_path):
    path = registration(tmp_path / "a.dcm", SPATIAL)
    assert "is truncated or damaged (AttributeError" in refusal(path, "truncated")


def test_only_registration_objects_are_registrations(tmp_path):
    (tmp_path / "notes.txt").write_text("n" * 200)
    (slice_,) = small_slices(1)
    slice_.save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    assert is_registration(registration(tmp_path / "a.dcm", SPATIAL)) is True
    assert is_registration(registration(tmp_path / "b.dcm", DEFORMABLE)) is True
    assert is_registration(registration(tmp_path / "c.dcm", DEFORMABLE + ".1")) is False
    for name in ("notes.txt", "ct.dcm", "missing.dcm"):
        assert is_registration(tmp_path / name) is False


SIZE = (5, 4, 3)


def deformation(size=SIZE, data=None, **changed):
    """Return the item of a grid of vectors, by default rising along its axes."""
    vectors = np.arange(np.prod(size) * 3, dtype="<f4") / 7
    stored = {
        "ImageOrientationPatient": [f"{v:.12f}" for v in OBLIQUE[:, :2].T.ravel()],
        "ImagePositionPatient": ["-20", "14", "-33"],
        "GridDimensions": list(size),
        "GridResolution": [0.75, 1.5, 2.5],
        "VectorGridData": vectors.tobytes() if data is None else data,
    }
    return item(**(stored | changed))


def deformable(path, *items):
    """Write a Deformable Spatial Registration of these items, and return its path."""
    return registration(path, DEFORMABLE, DeformableRegistrationSequence=list(items))


@pytest.mark.parametrize("size", [SIZE, (5, 4, 1), (5, 1, 3), (1, 4, 3)])
@pytest.mark.parametrize("empty", [True, False])
def test_a_deformation_without_matrices_is_the_field_itself(tmp_path, size, empty):
    one = item(DeformableRegistrationGridSequence=[deformation(size)])
    if empty:
        one.PreDeformationMatrixRegistrationSequence = []
        one.PostDeformationMatrixRegistrationSequence = []
    found = read_registration(deformable(tmp_path / "a.dcm", item(), one))
    assert found.grid.shape == size
    vectors = (np.arange(np.prod(size) * 3, dtype="<f4") / 7).reshape(*size[::-1], 3)
    expected = np.moveaxis(vectors.transpose(2, 1, 0, 3) * np.float32([-1, -1, 1]), -1, 0)
    np.testing.assert_allclose(found.field, expected)
    np.testing.assert_array_equal(found.affine, np.eye(4))
    affine = np.eye(4)
    affine[:3, :3] = OBLIQUE * [0.75, 1.5, 2.5]
    affine[:3, 3] = [-20, 14, -33]
    np.testing.assert_allclose(found.grid.affine, FLIP @ affine, atol=1e-9)


def test_matrices_before_and_after_the_deformation(tmp_path):
    one = item(
        PreDeformationMatrixRegistrationSequence=matrices(FIRST, SECOND),
        PostDeformationMatrixRegistrationSequence=matrices(SECOND, FIRST),
        DeformableRegistrationGridSequence=[deformation()],
    )
    found = read_registration(deformable(tmp_path / "a.dcm", one))
    pre, post = SECOND @ FIRST, FIRST @ SECOND
    np.testing.assert_allclose(found.affine, FLIP @ post @ pre @ FLIP, atol=1e-12)
    offset = (np.arange(3, dtype="<f4") / 7) @ np.linalg.inv(pre)[:3, :3].T * [-1, -1, 1]
    np.testing.assert_allclose(found.field[:, 0, 0, 0], offset, atol=1e-6)


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_deformations_than_one_is_refused(tmp_path, count):
    one = item(DeformableRegistrationGridSequence=[deformation()])
    path = deformable(tmp_path / "a.dcm", *[one] * count, item())
    assert f"has {count} deformation grids; one is needed" in refusal(path)


@pytest.mark.parametrize(
    ("grid", "code", "said"),
    [
        (deformation(data=bytes(716)), "truncated", "grid (5, 4, 3) has 716 bytes of vectors"),
        (deformation(data=bytes(724)), "truncated", "grid (5, 4, 3) has 724 bytes of vectors"),
        (deformation((0, 4, 3), data=bytes(12)), "truncated", "(0, 4, 3) has 12 bytes of vectors"),
        (deformation(GridDimensions=[1024, 1024, 1024]), "truncated", "has 720 bytes of vectors"),
        (deformation(GridDimensions=[1024, 1025, 1024]), "too-large", "at most 1073741824 voxels"),
        (deformation(GridDimensions=[1024, 1024, 1025]), "too-large", "at most 1073741824 voxels"),
        (deformation(data=np.full(180, np.nan, "<f4").tobytes()), None, "vectors that are not fin"),
        (deformation(data=np.full(180, np.inf, "<f4").tobytes()), None, "vectors that are not fin"),
        (deformation(GridResolution=[0.0, 1, 1]), "truncated", "must be invertible"),
    ],
)
def test_damaged_deformations_are_refused(tmp_path, grid, code, said):
    one = item(DeformableRegistrationGridSequence=[grid])
    assert said in refusal(deformable(tmp_path / "a.dcm", one), code)
