import numpy as np
import pytest
import torch
from support.io_cases import GRIDS

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
    ("text", "expected"),
    [
        ("1,2,3\n4,5,6\n", "11.000000,22.000000,33.000000\n14.000000,25.000000,36.000000\n"),
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
