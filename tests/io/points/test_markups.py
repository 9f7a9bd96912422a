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
        ("controlPoints", "x", "must be a list of points"),
        ("controlPoints", [{"label": "A", "position": [1, 2]}], "'A' is .*three numbers"),
        ("controlPoints", [{"position": [1, 2, "3"]}], "three numbers"),
        ("controlPoints", [{"position": [1, 2, 1e12]}], "mm from the origin"),
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


@pytest.mark.parametrize("markups", [None, "x", [1], []])
def test_other_documents_are_refused(tmp_path, markups):
    with pytest.raises(UserError, match=r"no list 'markups'|has no points"):
        read_points(write(tmp_path, {"markups": markups}), "ras")
