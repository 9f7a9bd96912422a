"""The kind of a file with points is detected from its content, and the space it records counts."""

import json

import pytest
from support.point_cases import TURNED

from zoo import UserError
from zoo.io.points import read_point_document, read_points

MARKUP = {"type": "Fiducial", "controlPoints": [{"position": [1.5, 2, 3]}]}
JSON = json.dumps({"markups": [MARKUP]})
FCSV = "# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n1,1.5,2,3\n"
VTK = "# vtk DataFile Version 4.2\nSPACE=LPS\nASCII\nDATASET POLYDATA\nPOINTS 1 float\n1.5 2 3\n"
SPACE = '<Array type="String" Name="SPACE" format="ascii">76 80 83 0</Array>'
POINTS = '<DataArray type="Float64" Name="Points" format="ascii">1.5 2 3</DataArray>'
VTP = (
    f'<VTKFile type="PolyData"><PolyData><FieldData>{SPACE}</FieldData>'
    f'<Piece NumberOfPoints="1"><Points>{POINTS}</Points></Piece></PolyData></VTKFile>'
)
RECORDED = {"fcsv": FCSV, "markups": JSON, "vtk": VTK, "vtp": VTP}
BOM = "\ufeff"


def write(tmp_path, text, name="points"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize("name", ["points", "a.csv", "a.json", "a.vtk"])
@pytest.mark.parametrize("kind", RECORDED)
def test_the_content_tells_the_kind_and_the_recorded_space_counts(tmp_path, kind, name):
    path = write(tmp_path, RECORDED[kind], name)
    document = read_point_document(str(path))
    assert (document.kind, document.has_space) == (kind, True)
    assert document.points.tolist() == [[-1.5, -2, 3]]
    for space in ("ras", "lps", "voxel"):  # "voxel" would need a grid
        assert read_points(path, space).tolist() == [[-1.5, -2, 3]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BOM + FCSV, "fcsv"),
        (BOM + JSON, "markups"),
        (f"\n \t{JSON}", "markups"),
        (f'<?xml version="1.0"?>\n<!-- a comment -->\n{VTP}', "vtp"),
        (f"{BOM}x,y,z\n-1.5,-2,3\n", "csv"),
        ("-1.5,-2,3\n", "csv"),
    ],
)
def test_marks_and_blanks_before_the_content_are_allowed(tmp_path, text, kind):
    document = read_point_document(write(tmp_path, text))
    assert document.kind == kind
    assert document.points.tolist() == [[-1.5, -2, 3]]


@pytest.mark.parametrize("length", [4096, 4097])
def test_the_first_4096_bytes_tell_the_kind(tmp_path, length):
    padding = "x" * (length - len("<!---->") - len("<VTKFile"))
    path = write(tmp_path, f"<!--{padding}-->{VTP}")
    if length <= 4096:
        assert read_point_document(path).kind == "vtp"
    else:
        with pytest.raises(UserError):
            read_point_document(path)


@pytest.mark.parametrize(
    ("space", "expected"),
    [("ras", [1.5, 2, 3]), ("lps", [-1.5, -2, 3]), ("voxel", [5, -2.5, 14])],
)
def test_a_table_is_read_in_the_given_space(tmp_path, space, expected):
    path = write(tmp_path, "1.5,2,3\n")
    assert read_points(path, space, TURNED).tolist() == [expected]
    document = read_point_document(path)
    assert (document.kind, document.has_space) == ("csv", False)
    assert document.points.tolist() == [[1.5, 2, 3]]


def test_an_unknown_space_and_voxels_without_an_image_are_refused(tmp_path):
    path = write(tmp_path, "1.5,2,3\n")
    with pytest.raises(UserError, match="not 'mni'"):
        read_points(path, "mni", TURNED)
    with pytest.raises(UserError, match="need the image"):
        read_points(path, "voxel")


@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(("number", "allowed"), [("1e9", True), ("1000000001", False)])
def test_coordinates_of_more_than_a_billion_are_refused(tmp_path, column, sign, number, allowed):
    cells = ["1", "2", "3"]
    cells[column] = sign + number
    path = write(tmp_path, f"4,5,6\n{','.join(cells)}\n7,8,9\n")
    if allowed:
        assert read_points(path, "ras")[1].tolist() == [float(cell) for cell in cells]
        return
    with pytest.raises(UserError, match=r"more than 1e\+09 mm from the origin") as caught:
        read_point_document(path)
    assert caught.value.code == "points-too-far"
    assert str(caught.value).startswith(f"{path} has points")


def test_voxels_that_the_affine_maps_too_far_are_refused(tmp_path):
    path = write(tmp_path, "0,0,600000000\n")
    assert read_points(path, "ras").tolist() == [[0, 0, 6e8]]
    with pytest.raises(UserError, match=r"more than 1e\+09 mm from the origin"):
        read_points(path, "voxel", TURNED)
