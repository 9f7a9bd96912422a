"""Markups of 3D Slicer: lists, lines and curves, in LPS and RAS."""

import copy
import json

import pytest
import torch

from zoo import UserError
from zoo.io.points import read_point_document, read_points


def control_point(number, position):
    return {
        "id": str(number),
        "label": f"F-{number}",
        "description": "größe",
        "associatedNodeID": "vtkMRMLScalarVolumeNode1",
        "position": position,
        "orientation": [-1.0, -0.0, -0.0, -0.0, -1.0, -0.0, 0.0, 0.0, 1.0],
        "selected": True,
        "locked": False,
        "visibility": True,
        "positionStatus": "defined",
    }


DOCUMENT = {
    "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/"
    "Resources/Schema/markups-schema-v1.0.3.json#",
    "markups": [
        {
            "type": "Fiducial",
            "coordinateSystem": "LPS",
            "coordinateUnits": "mm",
            "locked": False,
            "labelFormat": "%N-%d",
            "controlPoints": [control_point(1, [1.5, 2, 3]), control_point(2, [-4, 5.25, -6])],
            "measurements": [],
            "display": {"visibility": True, "opacity": 1.0, "color": [0.4, 1.0, 1.0]},
        },
        {
            "type": "Curve",
            "coordinateSystem": "RAS",
            "coordinateUnits": ["mm", "UCUM", "[mm]"],
            "controlPoints": [control_point(3, [7, 8, 9])],
        },
    ],
}
RAS = [[-1.5, -2, 3], [4, -5.25, -6], [7, 8, 9]]


def write(tmp_path, document):
    (tmp_path / "a.mrk.json").write_text(json.dumps(document), encoding="utf-8")
    return tmp_path / "a.mrk.json"


def test_positions_are_read_in_the_space_of_each_markup(tmp_path):
    path = write(tmp_path, DOCUMENT)
    assert read_points(path, "voxel").tolist() == RAS
    document = read_point_document(path)
    assert (document.kind, document.has_space) == ("markups", True)


def test_only_positions_change(tmp_path):
    document = read_point_document(write(tmp_path, DOCUMENT))
    written = json.loads(document.render(document.points + torch.tensor([10.0, 20, 30])))
    expected = copy.deepcopy(DOCUMENT)
    expected["markups"][0]["controlPoints"][0]["position"] = [-8.5, -18, 33]
    expected["markups"][0]["controlPoints"][1]["position"] = [-14, -14.75, 24]
    expected["markups"][1]["controlPoints"][0]["position"] = [17, 28, 39]
    assert written == expected


def test_the_default_of_the_schema_is_lps_in_mm(tmp_path):
    markup = {"type": "Line", "controlPoints": [{"position": [1, 2, 3]}]}
    assert read_points(write(tmp_path, {"markups": [markup]}), "ras").tolist() == [[-1, -2, 3]]


@pytest.mark.parametrize(
    ("key", "value", "pattern"),
    [
        ("type", "ROI", "type 'ROI'; allowed are Fiducial"),
        ("coordinateSystem", "scanner", "'scanner'; allowed are LPS and RAS"),
        ("coordinateUnits", "um", "coordinates in 'um'; only mm"),
        ("type", None, "type 'None'; allowed are Fiducial"),
        ("coordinateSystem", "0", "'0'; allowed are LPS and RAS"),
        ("coordinateUnits", "cm", "coordinates in 'cm'; only mm"),
        ("coordinateUnits", ["cm", "UCUM"], "coordinates in 'cm'; only mm"),
        ("coordinateUnits", [], r"coordinates in '\[\]'; only mm"),
        ("controlPoints", "x", "must be a list of points"),
        ("controlPoints", {}, "must be a list of points"),
        ("controlPoints", [1], "must be a list of points"),
        ("controlPoints", [{"label": "A", "position": [1, 2]}], "'A' is .*three numbers"),
        ("controlPoints", [{"position": [1, 2, "3"]}], "three numbers"),
        ("controlPoints", [{"position": [1, 2, True]}], "three numbers"),
        ("controlPoints", [{"position": [1, 2, 3, 4]}], r"'' is \[1, 2, 3, 4\]; .*three numbers"),
        ("controlPoints", [{"position": "123"}], "'' is 123; .*three numbers"),
        ("controlPoints", [{"label": "B"}], "'B' is None; .*three numbers"),
        ("controlPoints", [{"position": [1, 2, 1e12]}], "mm from the origin"),
        (
            "controlPoints",
            [{"label": "A", "positionStatus": "absent", "position": [1, 2, 3]}],
            "point 'A' is absent; place the point",
        ),
        (
            "controlPoints",
            [{"label": "A", "positionStatus": "undefined"}],
            "point 'A' is undefined; place the point",
        ),
    ],
)
def test_other_markups_are_refused(tmp_path, key, value, pattern):
    document = copy.deepcopy(DOCUMENT)
    document["markups"][0][key] = value
    with pytest.raises(UserError, match=pattern):
        read_points(write(tmp_path, document), "ras")


EMPTY = {"type": "Fiducial", "controlPoints": []}


@pytest.mark.parametrize(
    ("markups", "pattern"),
    [
        (None, "no list 'markups'"),
        ("x", "no list 'markups'"),
        ({}, "no list 'markups'"),
        ([EMPTY, 1], "no list 'markups'"),
        ([], "has no points"),
        ([EMPTY, {"type": "Line"}], "has no points"),
    ],
)
def test_other_documents_are_refused(tmp_path, markups, pattern):
    with pytest.raises(UserError, match=pattern):
        read_points(write(tmp_path, {"markups": markups}), "ras")


def test_markups_without_points_keep_their_place(tmp_path):
    markups = [EMPTY, DOCUMENT["markups"][1], {"type": "Angle"}, DOCUMENT["markups"][0]]
    document = read_point_document(write(tmp_path, {"markups": markups}))
    assert document.points.tolist() == [RAS[2], *RAS[:2]]
    assert json.loads(document.render(document.points)) == {"markups": markups}


def test_files_are_written_in_the_layout_of_slicer(tmp_path):
    """Four blanks per level, names in UTF-8, and a line end after the last line."""
    document = read_point_document(write(tmp_path, DOCUMENT))
    lines = document.render(document.points).decode("utf-8").split("\n")
    assert lines[0] == "{"
    assert lines[1].startswith('    "@schema": ')
    assert '                    "description": "größe",' in lines
    assert lines[-2:] == ["}", ""]


def test_rendering_does_not_change_the_document(tmp_path):
    document = read_point_document(write(tmp_path, DOCUMENT))
    before = document.render(document.points)
    document.render(document.points + 1)
    assert document.render(document.points) == before
    with pytest.raises(ValueError, match="shorter"):
        document.render(document.points[:2])


LETTERS = "".join(map(chr, range(ord("A"), ord("A") + 26))) * 3


@pytest.mark.parametrize(
    ("key", "value", "quoted"),
    [
        ("type", LETTERS, f"of the type '{LETTERS[:40]}'; allowed"),
        ("coordinateSystem", LETTERS, f"system '{LETTERS[:40]}'; allowed"),
        ("coordinateUnits", LETTERS, f"in '{LETTERS[:40]}'; only"),
        ("controlPoints", [{"label": LETTERS, "position": 1}], f"point '{LETTERS[:40]}' is 1;"),
        ("controlPoints", [{"positionStatus": LETTERS}], f"is {LETTERS[:20]}; place"),
        ("controlPoints", [{"position": LETTERS}], f"is {LETTERS[:60]}; it must"),
    ],
)
def test_long_texts_are_quoted_in_part(tmp_path, key, value, quoted):
    document = copy.deepcopy(DOCUMENT)
    document["markups"][0][key] = value
    path = write(tmp_path, document)
    with pytest.raises(UserError) as caught:
        read_points(path, "ras")
    assert quoted in str(caught.value)
    assert str(path) in str(caught.value)
