import numpy as np
import pytest
import torch
from support.io_cases import GRIDS
from support.point_cases import TURNED

from zoo import UserError
from zoo.io.points import read_point_document, read_points, write_points

POINTS = torch.tensor([[1.5, -2.25, 3.125], [10, 20, -30]], dtype=torch.float64)


@pytest.mark.parametrize("space", ["ras", "lps", "voxel"])
@pytest.mark.parametrize("header", [True, False])
def test_points_round_trip(tmp_path, space, header):
    grid = GRIDS["oblique anisotropic LAS"]
    write_points(tmp_path / "a.csv", POINTS, space, grid, header=header)
    torch.testing.assert_close(
        read_points(tmp_path / "a.csv", space, grid), POINTS, atol=1e-5, rtol=0
    )
    assert (tmp_path / "a.csv").read_text().startswith("x,y,z\n") == header


def test_lps_changes_the_sign_of_x_and_y(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    assert read_points(tmp_path / "a.csv", "lps").tolist() == [[-1, -2, 3]]
    assert read_points(tmp_path / "a.csv", "ras").tolist() == [[1, 2, 3]]


def test_voxel_indices_are_mapped_by_the_affine(tmp_path):
    grid = GRIDS["permuted PIR"]
    (tmp_path / "a.csv").write_text("1.5,2,3\n0,0,0\n")
    expected = (grid.affine.numpy() @ np.array([[1.5, 2, 3, 1], [0, 0, 0, 1]]).T)[:3].T
    np.testing.assert_allclose(read_points(tmp_path / "a.csv", "voxel", grid), expected)


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n",
        "x,y,z\n1,2,3\n4,5,6\n",
        "first,second,third\n1,2,3\n4,5,6\n",
        "\ufeffX, Y, Z\r\n1, 2, 3\r\n4, 5, 6\r\n",
        "# from somewhere\nid,z,y,x,label\n7,3,2,1,a\n8,6,5,4,b\n\n",
        '"1","2","3"\n4e0,5.0,+6\n',
        "z,x,y\n3,1,2\n6,4,5\n",
        "id,x,y,z,label\n7,1,2,3\n8,4,5,6,b,c\n",
    ],
)
def test_headers_column_orders_and_blanks_are_accepted(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_points(tmp_path / "a.csv", "ras").tolist() == [[1, 2, 3], [4, 5, 6]]


def test_voxel_space_needs_a_grid_and_unknown_spaces_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(UserError, match="need the image"):
        read_points(tmp_path / "a.csv", "voxel")
    with pytest.raises(UserError, match="ras, lps or voxel, not 'mni'"):
        read_points(tmp_path / "a.csv", "mni")
    with pytest.raises(UserError, match="need the image"):
        write_points(tmp_path / "b.csv", POINTS, "voxel")
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize(
    ("text", "pattern", "code"),
    [
        ("1,2,3\n4,5\n", r"a\.csv, line 2: the number of columns is 2; it must", "points-columns"),
        ("1,2,3,4\n", r"line 1: the number of columns is 4; it must be three", "points-columns"),
        ("a,b\n1,2\n", r"line 2: the number of columns is 2; it must be three", "points-columns"),
        ("id,x,y,z\n1,2,3\n", r"line 2: the number of columns is 3, fewer", "points-columns"),
        ("id,x,y,z\n1,2\n", r"line 2: the number of columns is 2, fewer", "points-columns"),
        ("x,y,z\n#\n1,2,3\n4,b,6\n", r"a\.csv, line 4: 'b' is not a number", "points-not-numbers"),
        ("1,2,3\n4,nan,6\n", r"a\.csv, line 2: nan is not finite", "not-finite"),
        ("x,2,z\n1,2,3\n", r"line 1: 'x' is not a number", "points-not-numbers"),
        ("x,y,z\n", r"a\.csv has no points", "points-none"),
        ("# x,y,z\n\n", r"a\.csv has no points", "points-none"),
    ],
)
def test_errors_name_the_line(tmp_path, text, pattern, code):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=pattern) as caught:
        read_points(tmp_path / "a.csv", "ras")
    assert caught.value.code == code


def test_a_table_of_one_row_may_have_a_header(tmp_path):
    for text in ("1,2,3\n", "1,2,3", "x,y,z\n1,2,3\n"):
        (tmp_path / "a.csv").write_text(text)
        assert read_points(tmp_path / "a.csv", "ras").tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ("ras", "3.000000,-4.000000,9.500000\n"),
        ("lps", "-3.000000,4.000000,9.500000\n"),
        ("voxel", "2.000000,1.100000,2.000000\n"),
    ],
)
def test_written_tables_have_six_digits_and_by_default_a_header(tmp_path, space, expected):
    points = torch.tensor([[3, -4, 9.5]], requires_grad=True)
    write_points(tmp_path / "a.csv", points, space, TURNED)
    assert (tmp_path / "a.csv").read_bytes().decode() == f"x,y,z\n{expected}"
    write_points(tmp_path / "a.csv", points, space, TURNED, header=False)
    assert (tmp_path / "a.csv").read_bytes().decode() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,3\n4,5,6\n", "11.000000,22.000000,33.000000\n14.000000,25.000000,36.000000\n"),
        ("1,2,3\r4,5,6\r", "11.000000,22.000000,33.000000\r14.000000,25.000000,36.000000\r"),
        (
            "1,2,3\r\n4,5,6\n7,8,9",
            "11.000000,22.000000,33.000000\r\n14.000000,25.000000,36.000000\n"
            "17.000000,28.000000,39.000000",
        ),
        ("y,x,z\n2,1,3", "y,x,z\n22.000000,11.000000,33.000000"),
        (
            '# from somewhere\r\nid,z,y,x,label\r\n7,3,2,1,"a, b"\r\n\r\n',
            '# from somewhere\r\nid,z,y,x,label\r\n7,33.000000,22.000000,11.000000,"a, b"\r\n\r\n',
        ),
    ],
)
def test_other_columns_comments_and_line_ends_stay(tmp_path, text, expected):
    (tmp_path / "a.csv").write_bytes(text.encode())
    document = read_point_document(tmp_path / "a.csv")
    assert not document.has_space
    moved = document.points + torch.tensor([10.0, 20, 30])
    assert document.render(moved).decode() == expected


def test_points_of_another_number_or_dimension_are_not_written_into_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n")
    document = read_point_document(tmp_path / "a.csv")
    for points in (document.points[:1], document.points[[0, 1, 1]], document.points[:, :2]):
        with pytest.raises(ValueError, match=r"zip\(\) argument 2"):
            document.render(points)
