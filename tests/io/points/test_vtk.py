"""Files that VTK 9.7.2 wrote, in all its encodings, and what remains of them with other points."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.io.points import read_point_document, read_points

FILES = Path(__file__).parent / "vtk"
POINTS = np.loadtxt(FILES / "points.csv", delimiter=",")
NAMES = sorted(p.name for p in FILES.iterdir() if p.suffix in (".vtk", ".vtp"))
SHIFT = torch.tensor([10.0, 20, 30], dtype=torch.float64)
LPS = np.array([-1, -1, 1])


@pytest.mark.parametrize("name", NAMES)
def test_points_of_vtk_are_read_in_their_space(name):
    document = read_point_document(FILES / name)
    assert document.has_space == ("lps" in name)
    expected = POINTS * LPS if document.has_space else POINTS
    # VTK writes text with six digits.
    np.testing.assert_allclose(
        document.points.numpy(), expected, atol=1e-3 if "text" in name else 1e-5
    )
    assert document.kind == Path(name).suffix[1:]


@pytest.mark.parametrize("name", NAMES)
def test_other_points_are_written_into_the_same_file(tmp_path, name):
    document = read_point_document(FILES / name)
    content = document.render(document.points + SHIFT)
    (tmp_path / name).write_bytes(content)
    again = read_point_document(tmp_path / name)
    torch.testing.assert_close(again.points, document.points + SHIFT, atol=2e-5, rtol=0)
    assert again.has_space == document.has_space


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith(".vtp") and "raw" not in n])
def test_the_rest_of_an_xml_file_stays(name):
    """Compare with another XML parser: only the points differ."""
    document = read_point_document(FILES / name)
    old = ElementTree.fromstring((FILES / name).read_text())
    new = ElementTree.fromstring(document.render(document.points + SHIFT))
    changed = 0
    for array in old.iter("DataArray"):
        if array.get("Name") == "Points":
            array[:] = []  # the range of the old coordinates
    for one, two in zip(old.iter(), new.iter(), strict=True):
        if one.get("Name") == "Points":
            changed += 1
            values = np.array(two.text.split(), float).reshape(-1, 3)
            shift = SHIFT.numpy() * (LPS if "lps" in name else 1)
            np.testing.assert_allclose(values, POINTS + shift, atol=1e-4)
            assert two.get("type") == one.get("type")
        else:
            assert (one.tag, one.attrib) == (two.tag, two.attrib)
            assert (one.text or "").split() == (two.text or "").split()
    assert changed == 1


@pytest.mark.parametrize("name", ["binary.vtk", "binary_lps.vtk"])
def test_only_the_block_of_points_of_a_legacy_file_changes(name):
    document = read_point_document(FILES / name)
    old, new = (FILES / name).read_bytes(), document.render(document.points + SHIFT)
    start = old.index(b"\n", old.index(b"POINTS")) + 1
    dtype = ">f8" if b"double" in old[:start] else ">f4"
    end = start + POINTS.size * np.dtype(dtype).itemsize
    assert (new[:start], new[end:]) == (old[:start], old[end:])
    values = np.frombuffer(new[start:end], dtype).reshape(-1, 3)
    shift = SHIFT.numpy() * (LPS if "lps" in name else 1)
    np.testing.assert_allclose(values, POINTS + shift, atol=1e-4)


def test_a_file_without_a_space_is_read_in_the_given_space():
    for name in ("binary.vtk", "text.vtp"):
        ras, lps = (read_points(FILES / name, space).numpy() for space in ("ras", "lps"))
        np.testing.assert_allclose(ras, lps * LPS)
    once, twice = (read_points(FILES / "binary_lps.vtk", space) for space in ("ras", "lps"))
    assert torch.equal(once, twice)


def edited(tmp_path, name, old, new):
    content = (FILES / name).read_bytes()
    assert old in content
    (tmp_path / name).write_bytes(content.replace(old, new))
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "old", "new", "pattern"),
    [
        ("binary.vtk", b"DATASET POLYDATA", b"DATASET STRUCTURED_POINTS", "no data set of"),
        ("binary.vtk", b"POINTS 12 double", b"POINTS 99 double", "do not fit"),
        ("binary.vtk", b"POINTS 12 double", b"POINTS 999999999 double", "at most"),
        ("binary.vtk", b"POINTS 12 double", b"POINTS 12 int", "no block 'POINTS"),
        ("binary.vtk", b"POINTS 12 double", b"POINTS 0 double", "has no points"),
        ("text_lps.vtk", b"POINTS 12 float\n", b"POINTS 12 float\nnan ", "not finite"),
        ("text_lps.vtk", b"POINTS 12 float\n", b"POINTS 12 float\nx ", "could not convert"),
        ("text_lps.vtk", b"SPACE=LPS", b"SPACE=LPS;UNIT=um", "coordinates in um"),
        ("text.vtp", b'type="PolyData"', b'type="ImageData"', "only PolyData"),
        ("text.vtp", b'NumberOfPoints="12"', b'NumberOfPoints="13"', "instead of 39"),
        ("text.vtp", b'NumberOfPoints="12"', b'NumberOfPoints="99999999"', "more than"),
        ("text.vtp", b"</Points>", b"", "truncated or damaged"),
        ("text.vtp", b'<?xml version="1.0"?>', b'<!DOCTYPE x [<!ENTITY a "b">]>', "document type"),
        ("appended_lps.vtp", b'NumberOfPoints="12"', b'NumberOfPoints="5000"', "instead of"),
        (
            "inline_compressed_lps.vtp",
            b"vtkZLibDataCompressor",
            b"vtkLZMADataCompressor",
            "compressed with vtkLZMA",
        ),
        ("raw_compressed.vtp", b"x^", b"x_", "truncated or damaged"),
    ],
)
def test_damaged_files_are_refused(tmp_path, name, old, new, pattern):
    with pytest.raises(UserError, match=pattern):
        read_points(edited(tmp_path, name, old, new), "ras")


@pytest.mark.parametrize("name", NAMES)
def test_truncated_files_are_refused_or_read_as_they_are(tmp_path, name):
    """The points come first in some files; what is missing then does not matter to them."""
    content = (FILES / name).read_bytes()
    document = read_point_document(FILES / name)
    for length in range(40, len(content), 97):
        (tmp_path / name).write_bytes(content[:length])
        try:
            points = read_point_document(tmp_path / name).points
        except UserError:
            continue
        assert torch.equal(points, document.points)
