"""Files that VTK 9.7.2 wrote, in all its encodings, and what remains of them with other points."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.io.limits import MAX_MESH_BYTES
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


HEAD = b"# vtk DataFile Version 4.2\ntitle\nASCII\nDATASET POLYDATA\n"
FEW = [[1.5, -2, 3], [40, 5.25, -6]]


def legacy(tmp_path, numbers, *, kind=b"float", count=2, head=HEAD, binary=False):
    """Write a file whose block POINTS begins with some bytes."""
    head = head.replace(b"ASCII", b"BINARY") if binary else head
    content = head + b"POINTS %d %s\n%s" % (count, kind, numbers)
    (tmp_path / "a.vtk").write_bytes(content)
    return tmp_path / "a.vtk"


@pytest.mark.parametrize(("kind", "dtype"), [(b"float", ">f4"), (b"double", ">f8")])
def test_numbers_may_end_with_the_file_but_not_after_it(tmp_path, kind, dtype):
    numbers = np.array(FEW, dtype).tobytes()
    path = legacy(tmp_path, numbers, kind=kind, binary=True)
    assert read_points(path, "ras").tolist() == FEW
    path = legacy(tmp_path, numbers[:-1], kind=kind, binary=True)
    with pytest.raises(UserError, match=r"a\.vtk is truncated or damaged \(2 points do not fit\)"):
        read_points(path, "ras")
    path = legacy(tmp_path, b"1.5 -2 3\n40 5.25 -6", kind=kind)
    assert read_points(path, "ras").tolist() == FEW
    path = legacy(tmp_path, b"1.5 -2 3\n40 5.25", kind=kind)
    with pytest.raises(UserError, match=r"a\.vtk is truncated or damaged \(2 points do not fit\)"):
        read_points(path, "ras")


@pytest.mark.parametrize("length", [62, 63, 64, 65, 70])
def test_a_number_that_does_not_end_within_64_characters_each_is_not_cut(tmp_path, length):
    path = legacy(tmp_path, f"{1:063} {2:063} {31:0{length}}\nLINES".encode(), count=1)
    if length <= 64:
        assert read_points(path, "ras").tolist() == [[1, 2, 31]]
    else:
        with pytest.raises(UserError, match=r"\(1 points do not fit\)"):
            read_points(path, "ras")


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("rest", [b"", b"LINES 1 3\n2 0 1\n", b"METADATA " + b"x" * 1000])
def test_a_file_with_the_same_points_is_the_same(tmp_path, binary, rest):
    numbers = np.array(FEW[:1], ">f4").tobytes() if binary else b"1.5 -2 3\n"
    path = legacy(tmp_path, numbers + rest, count=1, binary=binary)
    document = read_point_document(path)
    assert document.points.tolist() == FEW[:1]
    assert document.render(document.points) == path.read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"ASCII", b"ascii"),
        (b"DATASET POLYDATA", b"dataset polydata"),
        (b"DATASET POLYDATA", b"DATASET UNSTRUCTURED_GRID"),
        (b"4.2", b"3.0 by another program, not SPACE=LPS"),
        (b"title", b""),
        (b"title", b"x" * 256),
    ],
)
def test_other_spellings_of_the_header_are_read(tmp_path, old, new):
    for binary in (False, True):
        numbers = np.array(FEW, ">f8").tobytes() if binary else b"1.5 -2 3 40 5.25 -6"
        head = (HEAD.replace(b"ASCII", b"BINARY") if binary else HEAD).replace(old, new)
        path = legacy(tmp_path, numbers, kind=b"Double", head=head)
        assert read_points(path, "ras").tolist() == FEW


@pytest.mark.parametrize(
    ("title", "has_space", "expected"),
    [
        (b"x SPACE=LPS", True, [-1.5, 2, 3]),
        (b"SPACE=RAS y", True, [1.5, -2, 3]),
        (b"SPACE=LPS;UNIT=mm", True, [-1.5, 2, 3]),
        (b"UNIT=mm", False, [1.5, -2, 3]),
        (b"SPACE=LPSX", False, [1.5, -2, 3]),
        (b"SPACE=LAS", False, [1.5, -2, 3]),
    ],
)
def test_the_title_names_the_space(tmp_path, title, has_space, expected):
    head = HEAD.replace(b"title", title)
    document = read_point_document(legacy(tmp_path, b"1.5 -2 3", count=1, head=head))
    assert document.has_space is has_space
    assert document.points.tolist() == [expected]
    assert b"\n1.5 -2 3" in document.render(document.points)


@pytest.mark.parametrize(
    ("kind", "text"), [(b"float", b"0.333333343"), (b"double", b"0.33333333333333331")]
)
def test_written_numbers_have_as_many_digits_as_their_type_needs(tmp_path, kind, text):
    document = read_point_document(legacy(tmp_path, b"1 2 3", kind=kind, count=1))
    third = float(np.float32(1 / 3)) if kind == b"float" else 1 / 3
    content = document.render(torch.full((1, 3), third, dtype=torch.float64))
    assert content.endswith(b"\n%s %s %s\n" % (text, text, text))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_binary_numbers_that_are_not_finite_are_refused(tmp_path, value):
    numbers = np.array([[1, 2, 3], [4, value, 6]], ">f4").tobytes()
    with pytest.raises(UserError, match=r"a\.vtk has points that are not finite") as caught:
        read_points(legacy(tmp_path, numbers, binary=True), "ras")
    assert caught.value.code == "not-finite"


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("count", "pattern"),
    [
        (20_000_000, r"\(20000000 points do not fit\)"),
        (20_000_001, "has 20000001 points; at most 20000000 are allowed"),
    ],
)
def test_more_than_twenty_million_points_are_refused(tmp_path, binary, count, pattern):
    with pytest.raises(UserError, match=pattern):
        read_points(legacy(tmp_path, b"1 2 3", count=count, binary=binary), "ras")


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (b"ASCII", b"TEXT", "no data set of the types POLYDATA or UNSTRUCTURED_GRID"),
        (b"title", b"x" * 257, "no data set of the types"),
        (b"POLYDATA", b"POLYDATAX", "no data set of the types"),
        (b"title", b"UNIT=cm", "coordinates in cm; only mm"),
        (b"title", b"UNIT=um", "coordinates in um; only mm"),
        (b"\nDATASET", b"\nPOINTS 1 float\n1 2 3\nDATASET", "no data set of the types"),
    ],
)
def test_headers_of_something_else_are_refused(tmp_path, old, new, pattern):
    path = legacy(tmp_path, b"1 2 3 4 5 6", head=HEAD.replace(old, new))
    with pytest.raises(UserError, match=pattern):
        read_points(path, "ras")


def test_a_data_set_without_points_is_refused(tmp_path):
    (tmp_path / "a.vtk").write_bytes(HEAD)
    with pytest.raises(UserError, match="no block 'POINTS number float'"):
        read_points(tmp_path / "a.vtk", "ras")


def test_a_long_word_that_is_not_a_number_is_quoted_in_part(tmp_path):
    word = "".join(map(chr, range(ord("0"), ord("0") + 60)))
    with pytest.raises(UserError) as caught:
        read_points(legacy(tmp_path, f"1 2 {word}".encode(), count=1), "ras")
    message = f"could not convert string to float: {word.encode()!r}"
    assert str(caught.value).endswith(f"a.vtk: {message[:80]}")
    assert caught.value.code == "points-not-numbers"


def test_a_mesh_of_too_many_bytes_is_refused(tmp_path):
    with (tmp_path / "a.vtk").open("wb") as stream:
        stream.write(HEAD)
        stream.truncate(MAX_MESH_BYTES + 1)
    with pytest.raises(UserError, match=r"536870913 bytes; at most 536870912 .*reduce the mesh"):
        read_points(tmp_path / "a.vtk", "ras")
