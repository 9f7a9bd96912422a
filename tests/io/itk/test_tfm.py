import struct

import ants
import numpy as np
import pytest
import scipy.io
import SimpleITK as sitk
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.itk.tfm import is_mat, is_tfm, read_mat, read_tfm, write_mat, write_tfm
from zoo.io.transforms import read_transform


def test_mat_file_in_single_precision_is_read(tmp_path):
    """`antsRegistration --float 1` writes matrices of MATLAB type 10."""
    numbers = {"AffineTransform_float_3_3": [1, 0, 0, 0, 1, 0, 0, 0, 1, 4, -5, 6], "fixed": [0] * 3}
    content = b""
    for name, values in numbers.items():
        content += struct.pack("<5i", 10, len(values), 1, 0, len(name) + 1) + name.encode() + b"\0"
        content += np.array(values, "<f4").tobytes()
    path = tmp_path / "0GenericAffine.mat"
    path.write_bytes(content)
    assert read_transform(path).affine[:3, 3].tolist() == [-4, 5, 6]


@pytest.mark.parametrize(
    ("write", "read", "name"), [(write_tfm, read_tfm, "a.tfm"), (write_mat, read_mat, "a.mat")]
)
def test_affine_round_trips_in_full_precision(tmp_path, write, read, name):
    write(tmp_path / name, Transform(AFFINE / 3 + torch.diag(torch.tensor([0, 0, 0, 2 / 3]))))
    affine = read(tmp_path / name).affine
    torch.testing.assert_close(affine[:3], AFFINE[:3] / 3, atol=1e-15, rtol=1e-15)


@pytest.mark.parametrize("write", [write_tfm, write_mat])
def test_field_is_refused_by_affine_formats(tmp_path, write):
    with pytest.raises(UserError, match=r"store an affine only.*write \.h5"):
        write(tmp_path / "a", smooth_transform(GRIDS["RAS"]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["AffineTransform", "Euler3DTransform"])
@pytest.mark.parametrize("precision", ["float", "double"])
def test_mat_files_of_ants_are_read(tmp_path, kind, precision):
    theirs = ants.create_ants_transform(kind, precision=precision)
    parameters = [0.1, -0.2, 0.3, 4, 5, 6]
    if kind == "AffineTransform":
        parameters = [1.1, 0.1, 0, -0.1, 0.9, 0.2, 0, 0.1, 1.05, 4, 5, 6]
    theirs.set_parameters(parameters)
    theirs.set_fixed_parameters([10, 20, 30])
    path = tmp_path / "0GenericAffine.mat"
    ants.write_transform(theirs, str(path))
    assert is_mat(path)
    points = inner_points(GRIDS["LPS"])
    flip = np.array([-1, -1, 1])
    mapped = [ants.apply_ants_transform_to_point(theirs, p) for p in points.numpy() * flip]
    assert max_distance(read_mat(path).map_points(points), np.array(mapped) * flip) < 1e-3


def test_written_mat_file_is_read_by_scipy(tmp_path):
    write_mat(tmp_path / "a.mat", Transform(AFFINE))
    columns = scipy.io.loadmat(tmp_path / "a.mat")
    assert columns["AffineTransform_double_3_3"].shape == (12, 1)
    assert columns["fixed"].ravel().tolist() == [0, 0, 0]


def test_mat_file_without_fixed_parameters_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"AffineTransform_double_3_3": np.ones(12)}, format="4")
    with pytest.raises(UserError, match="'fixed' parameters"):
        read_mat(tmp_path / "a.mat")


def test_written_text_is_read_by_simpleitk(tmp_path):
    write_tfm(tmp_path / "a.tfm", Transform(AFFINE))
    theirs = sitk.ReadTransform(str(tmp_path / "a.tfm"))
    points, flip = inner_points(GRIDS["LPS"], count=20), np.array([-1, -1, 1])
    mapped = np.array([theirs.TransformPoint(p) for p in points.numpy() * flip]) * flip
    assert max_distance(mapped, Transform(AFFINE).map_points(points)) < 1e-9


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#Insight Transform File V1.0\n", True),
        (b"#Insight Transfo", True),
        (b"#Insight Transf", False),
        (b"#Insight Transf!rm File V1.0\n", False),
        (b"#insight Transform File V1.0\n", False),
    ],
)
def test_text_is_recognised_by_its_first_16_letters(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert is_tfm(tmp_path / "a") is expected


SHIFT = "Transform: TranslationTransform_double_3_3\nParameters: {}\nFixedParameters:\n"
COMPOSITE = "Transform: CompositeTransform_double_3_3\n"
FIRST = "#Insight Transform File V1.0\n"


def text(folder, *parts):
    (folder / "a.tfm").write_text(FIRST + "".join(parts))
    return folder / "a.tfm"


def test_parameters_belong_to_the_transform_before_them(tmp_path):
    turn = "Transform: Euler3DTransform_double_3_3\nFixedParameters: 5 -7 11\nParameters: {}\n"
    parts = (SHIFT.format("1 2 4"), "\n  \n#a comment\n", turn.format("0.1 -0.2 0.3 4 5 6"))
    path = text(tmp_path, "#Transform 0\n", COMPOSITE, *parts)
    euler = sitk.Euler3DTransform((5, -7, 11), 0.1, -0.2, 0.3, (4, 5, 6))
    expected = np.add(euler.TransformPoint((1.0, 2.0, 3.0)), [1, 2, 4])
    ours = read_tfm(path).map_points(torch.tensor([[-1.0, -2.0, 3.0]]))
    assert max_distance(ours, expected[None] * np.array([-1, -1, 1])) < 1e-9


def test_a_file_has_at_most_64_transforms_with_its_composite(tmp_path):
    path = text(tmp_path, COMPOSITE, *[SHIFT.format("1 2 4")] * 63)
    assert read_tfm(path).affine[:3, 3].tolist() == [-63, -126, 252]
    path = text(tmp_path, COMPOSITE, *[SHIFT.format("1 2 4")] * 64)
    pattern = r"a\.tfm, line 192: 'Transform: .*' is not part .* at most 64 times Transform:"
    with pytest.raises(UserError, match=pattern):
        read_tfm(path)


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        ("Parameters: 1 2 3\n", "line 2: 'Parameters: 1 2 3' is not part of a transform"),
        ("FixedParameters: 1 2 3\n", "line 2: 'FixedParameters: 1 2 3' is not part"),
        ("\nTransform\n", "line 3: 'Transform' is not part of a transform"),
        (COMPOSITE + SHIFT.format("1 2 4") + "Parameters: 1\n", "line 6: 'Parameters: 1' is not"),
        (
            COMPOSITE + SHIFT.format("1 2 4") + "FixedParameters: 1\n",
            "line 6: 'FixedParameters: 1'",
        ),
        (SHIFT.format("1 2 4") + "Other: 1\n", "line 5: 'Other: 1' is not part of a transform"),
        ("y" * 41 + ": 1\n", f"line 2: '{'y' * 40}' is not part of a transform"),
        (SHIFT.format("1 2_0 4"), r"line 3: digits are grouped with _; only numbers are allowed"),
        (SHIFT.format("1 two 4"), r"line 3: could not convert .*'two'; only numbers are allowed"),
    ],
)
def test_other_lines_are_refused_by_number(tmp_path, body, pattern):
    with pytest.raises(UserError, match=rf"a\.tfm, {pattern}"):
        read_tfm(text(tmp_path, body))


def test_the_reason_why_a_word_is_no_number_is_shortened(tmp_path):
    word = "z" * 200
    with pytest.raises(ValueError, match="could not") as reason:
        float(word)
    with pytest.raises(UserError) as refusal:
        read_tfm(text(tmp_path, SHIFT.format(word)))
    assert f"line 3: {str(reason.value)[:80]}; only" in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.tfm").write_bytes(FIRST.encode() + b"\xff\n")
    with pytest.raises(UserError, match=r"a\.tfm is truncated or damaged \(it is not text\)"):
        read_tfm(tmp_path / "a.tfm")


def column(name, values, *, code=0, rows=None, columns=1, imaginary=0, end=b"\0", length=None):
    """Return a matrix of MATLAB 4: type, rows, columns, complex, length of the name; the name."""
    raw = (name if isinstance(name, bytes) else name.encode()) + end
    shape = (len(values) if rows is None else rows, columns)
    header = (code, *shape, imaginary, len(raw) if length is None else length)
    return (
        struct.pack("<5i", *header) + raw + np.array(values, {10: "<f4"}.get(code, "<f8")).tobytes()
    )


NAME = "AffineTransform_double_3_3"
MATRIX = [2, 0, 0, 0, 3, 0, 0, 0, 4, 4, -5, 6]
FIXED = column("fixed", [0] * 3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (column(NAME, MATRIX), True),
        (column(NAME, MATRIX, code=10), True),
        (column(NAME, MATRIX, code=1000), False),
        (column(NAME, MATRIX, code=20), False),
        (column("AffineTransform_double_2_2", MATRIX), False),
        (column("Affine_double_3_3", MATRIX), False),
        (column("fixed", MATRIX), False),
        (b"Transform_3_3\0", False),
    ],
)
def test_matrices_named_after_transforms_are_recognised(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert is_mat(tmp_path / "a") is expected


@pytest.mark.parametrize(
    "content",
    [
        column(NAME, MATRIX) + FIXED,
        FIXED + column(NAME, MATRIX),
        column(NAME, MATRIX, rows=1, columns=12) + FIXED,
        column(NAME, MATRIX, rows=3, columns=4) + column("fixed", [0] * 3, rows=1, columns=3),
        column(NAME, MATRIX, code=10) + FIXED,
    ],
    ids=["columns", "fixed first", "rows", "matrix", "single"],
)
def test_matrices_of_any_shape_are_read(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    affine = read_mat(tmp_path / "a.mat").affine
    assert affine.tolist() == [[2, 0, 0, -4], [0, 3, 0, 5], [0, 0, 4, 6], [0, 0, 0, 1]]


def test_a_matrix_may_be_empty(tmp_path):
    content = column("IdentityTransform_double_3_3", []) + column("fixed", [], rows=1, columns=0)
    (tmp_path / "a.mat").write_bytes(content)
    assert torch.equal(read_mat(tmp_path / "a.mat").affine, torch.eye(4).double())


LONG = "x" * 244 + "_double_3_3"  # 256 bytes with its final zero


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (FIXED, "contains fixed; give one transform and its 'fixed' parameters"),
        (column(NAME, MATRIX) + column("other", [1]) + FIXED, f"contains {NAME}, other, fixed;"),
        (column(NAME, MATRIX) + column("zero", [1]) + FIXED, f"contains {NAME}, zero, fixed;"),
        (column(NAME, MATRIX) * 2 + FIXED, f"the matrix '{NAME}' occurs twice"),
        (b"".join(column(f"m{k}", []) for k in range(64)), "contains m0, m1, .*, m63; give one"),
        (b"".join(column(f"m{k}", []) for k in range(65)), "the matrix 'm64' .* is one too many"),
        (column(LONG, MATRIX) + FIXED, "contains a xxxx"),
        (column("x" + LONG, MATRIX) + FIXED, "a matrix of 12 x 1 numbers does not fit"),
        (column("", MATRIX) + FIXED, "contains the transform ''"),
        (column("", [], end=b"", rows=1), "a matrix of 1 x 1 numbers does not fit"),
        (column("", [], length=0), "a matrix of 0 x 1 numbers does not fit"),
        (column(NAME, MATRIX, rows=-1, columns=-12) + FIXED, "a matrix of -1 x -12 numbers"),
        (column(NAME, [], rows=0, columns=-1) + FIXED, "a matrix of 0 x -1 numbers does not fit"),
        (column(NAME, [], rows=-1, columns=0) + FIXED, "a matrix of -1 x 0 numbers does not fit"),
        (column(NAME, MATRIX, imaginary=1) + FIXED, "a matrix of 12 x 1 numbers does not fit"),
        (column(NAME, MATRIX)[:-1], "a matrix of 12 x 1 numbers does not fit"),
        (column(NAME, MATRIX) + FIXED[:-1], "a matrix of 3 x 1 numbers does not fit"),
        (column(NAME, MATRIX) + FIXED + bytes(19), "not a MATLAB 4 file of numbers: unpack"),
        (column(NAME, MATRIX, code=1000) + FIXED, "not a MATLAB 4 file of numbers: 1000"),
        (column(NAME, MATRIX, end=b"x") + FIXED, "the name of a matrix is damaged"),
        (column(f"{NAME}\x01", MATRIX) + FIXED, "the name of a matrix is damaged"),
        (column(f"\x01{NAME}", MATRIX) + FIXED, "the name of a matrix is damaged"),
        (column(b"\xff" + NAME.encode(), MATRIX), "not a MATLAB 4 file of numbers: 'ascii'"),
    ],
)
def test_other_matrices_are_refused(tmp_path, content, pattern):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.mat .*{pattern}"):
        read_mat(tmp_path / "a.mat")
