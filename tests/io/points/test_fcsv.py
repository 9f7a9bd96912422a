"""Lists of fiducials of 3D Slicer, in the layouts of several versions."""

import pytest
import torch

from zoo import UserError
from zoo.io.points import read_point_document, read_points

NEW = (
    "# Markups fiducial file version = 4.11\n"
    "# CoordinateSystem = LPS\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    '1,1.5,2,3,0,0,0,1,1,1,0,"AC, left",,vtkMRMLScalarVolumeNode1\n'
    "2,-4,5.25,-6,0,0,0,1,1,1,0,PC,,\n"
)
OLD = (
    "# Markups fiducial file version = 4.3\r\n"
    "# CoordinateSystem = 0\r\n"
    "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\r\n"
    "vtkMRMLMarkupsFiducialNode_0,-1.5,-2,3,0,0,0,1,1,1,0,F-1,,\r\n"
    "vtkMRMLMarkupsFiducialNode_1,4,-5.25,-6,0,0,0,1,1,1,0,F-2,,\r\n"
)
FIRST = (
    "# Fiducial List file /a/F.fcsv\n# version = 2\n# name = F\n"
    "# columns = label,x,y,z,sel,visibility\nF-1,-1.5,-2,3,1,1\nF-2,4,-5.25,-6,1,1\n"
)
RAS = [[-1.5, -2, 3], [4, -5.25, -6]]


def write(tmp_path, text):
    (tmp_path / "a.fcsv").write_bytes(text.encode())
    return tmp_path / "a.fcsv"


@pytest.mark.parametrize("text", [NEW, OLD])
def test_the_coordinate_system_of_the_file_counts(tmp_path, text):
    path = write(tmp_path, text)
    assert read_points(path, "ras").tolist() == RAS
    assert read_points(path, "voxel").tolist() == RAS


@pytest.mark.parametrize(
    ("system", "expected"),
    [("RAS", [1.5, 2, 3]), ("0", [1.5, 2, 3]), ("LPS", [-1.5, -2, 3]), ("1", [-1.5, -2, 3])],
)
@pytest.mark.parametrize("comment", ["# CoordinateSystem = ", "#CoordinateSystem="])
def test_every_name_and_number_of_a_system_is_read(tmp_path, system, expected, comment):
    path = write(tmp_path, NEW.replace("# CoordinateSystem = LPS", comment + system))
    document = read_point_document(path)
    assert (document.kind, document.has_space) == ("fcsv", True)
    assert document.points.tolist()[0] == expected


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        ("x,y,z", "7,8,9"),
        ("z,x,y", "9,7,8"),
        (" y , z,label,x ", "8,9,a,7"),
        (None, "a,7,8,9"),
        (None, "a,7,8,9,0"),
        ("id,x,y,z,label", "1,7,8,9"),
    ],
)
def test_columns_are_found_by_their_names(tmp_path, columns, row):
    """Without the comment, the columns are the name and x, y and z. Others may be missing."""
    comment = f"# columns = {columns}\n" if columns else ""
    path = write(tmp_path, f"# Markups fiducial file version = 4.11\n{comment}{row}\n")
    document = read_point_document(path)
    assert document.points.tolist() == [[7, 8, 9]]
    written = document.render(torch.tensor([[1.0, 2, 3]])).decode().splitlines()[-1]
    assert written == row.replace("7", "1.000000").replace("8", "2.000000").replace("9", "3.000000")


def test_a_file_without_a_system_is_read_in_the_given_space(tmp_path):
    path = write(tmp_path, FIRST)
    assert not read_point_document(path).has_space
    assert read_points(path, "ras").tolist() == RAS
    assert read_points(path, "lps").tolist() == [[1.5, 2, 3], [-4, 5.25, -6]]


@pytest.mark.parametrize("text", [NEW, OLD, FIRST])
def test_names_comments_and_line_ends_stay(tmp_path, text):
    document = read_point_document(write(tmp_path, text))
    assert document.render(document.points).decode() == (
        text.replace("1.5,2,3", "1.500000,2.000000,3.000000")
        .replace("-4,5.25,-6", "-4.000000,5.250000,-6.000000")
        .replace("-1.5,-2,3", "-1.500000,-2.000000,3.000000")
        .replace("4,-5.25,-6", "4.000000,-5.250000,-6.000000")
    )
    moved = document.render(document.points + torch.tensor([1.0, 0, 0])).decode()
    assert ("0.500000" if text is NEW else "-0.500000") in moved


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("= LPS", "= 2", "coordinate system '2'; allowed are RAS"),
        ("id,x,y,z", "id,r,a,s", "without x, y and z"),
        ("1,1.5,2,3", "1,1.5,2,x", "line 4: 'x' is not a number"),
        ("1,1.5,2,3", "1,1.5,2,inf", "line 4: inf is not finite"),
        ("2,-4,5.25,-6,0,0,0,1,1,1,0,PC,,", "2,-4", "line 5: the number of columns is 2"),
        ("2,-4,5.25,-6,0,0,0,1,1,1,0,PC,,", "2,-4,5", "line 5: the number of columns is 3"),
        (NEW[NEW.index("1,1.5") :], "", "has no points"),
    ],
)
def test_damaged_files_are_refused(tmp_path, old, new, pattern):
    assert old in NEW
    with pytest.raises(UserError, match=pattern):
        read_points(write(tmp_path, NEW.replace(old, new)), "ras")


def test_long_texts_are_quoted_in_part(tmp_path):
    system = "".join(map(chr, range(ord("A"), ord("A") + 26)))
    with pytest.raises(UserError) as caught:
        read_points(write(tmp_path, NEW.replace("LPS", system)), "ras")
    assert f"the coordinate system '{system[:20]}'; allowed" in str(caught.value)
    names = [f"column{k}" for k in range(40)]
    with pytest.raises(UserError) as caught:
        read_points(write(tmp_path, NEW.replace("id,x,y,z", ",".join(names))), "ras")
    assert f"the columns {', '.join(names)[:200]}, without x, y and z" in str(caught.value)


def test_a_byte_order_mark_is_allowed(tmp_path):
    document = read_point_document(write(tmp_path, f"\ufeff{NEW}"))
    assert (document.kind, document.has_space) == ("fcsv", True)
    assert document.points.tolist() == RAS


def test_fewer_points_than_rows_are_not_written(tmp_path):
    document = read_point_document(write(tmp_path, NEW))
    with pytest.raises(ValueError, match="shorter"):
        document.render(document.points[:1])
