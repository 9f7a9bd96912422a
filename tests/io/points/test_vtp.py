"""XML poly data put together here from VTK's description of the format, in all its encodings."""

import base64
import re
import struct
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from zoo import UserError
from zoo.io.limits import MAX_MESH_BYTES
from zoo.io.points import read_point_document, read_points

PIECES = ([[1.5, -2, 3], [40, 5.25, -6]], [], [[-7.125, 80, 9]])
POINTS = np.concatenate([np.array(piece).reshape(-1, 3) for piece in PIECES])
LPS = np.array([-1, -1, 1])
TYPES = {"Float32": "f4", "Float64": "f8"}


def stored(data, byte_order, header, compressed, *, text):
    """Return an array as VTK stores it: its size and its bytes, or blocks of 20 bytes."""
    if compressed:
        blocks = [data[k : k + 20] for k in range(0, len(data), 20)]
        packed = [zlib.compress(block) for block in blocks]
        sizes = [len(blocks), 20, len(data) % 20, *map(len, packed)]
        parts = [struct.pack(f"{byte_order}{len(sizes)}{header}", *sizes), b"".join(packed)]
    else:
        parts = [struct.pack(byte_order + header, len(data)) + data]
    return b"".join(base64.b64encode(part) if text else part for part in parts)


def binary_file(place, byte_order, header, compressed, kind, *, space=b""):
    """Return the content of a file of three pieces, and the elements of their points.

    The arrays are inside their elements (`place` is "inline"), or appended as "base64" or "raw".
    """
    appended = b""

    def element(name, attributes, data):
        nonlocal appended
        array = stored(data, byte_order, header, compressed, text=place != "raw")
        if place == "inline":
            return b'<%s %s format="binary">\n  %s\n</%s>' % (name, attributes, array, name)
        offset = len(appended)
        appended += array
        return b'<%s %s format="appended" offset="%d"/>' % (name, attributes, offset)

    order = "LittleEndian" if byte_order == "<" else "BigEndian"
    root = f'type="PolyData" byte_order="{order}" header_type="UInt{32 if header == "I" else 64}"'
    root += ' compressor="vtkZLibDataCompressor"' if compressed else ""
    fields, pieces, points = b"", b"", []
    if space:
        array = element(b"Array", b'type="String" Name="SPACE"', space + b"\0")
        fields = b"<FieldData>" + array + b"</FieldData>"
    for piece in PIECES:
        values = np.array(piece).astype(byte_order + TYPES[kind]).tobytes()
        fa = element(b"DataArray", b'type="Float32" Name="fa"', bytes(4 * len(piece)))
        points.append(element(b"DataArray", b'type="%s" Name="a > b"' % kind.encode(), values))
        pieces += b'<Piece NumberOfPoints="%d"><PointData>%s</PointData><Points>%s</Points>' % (
            *(len(piece), fa, points[-1]),
        )
        pieces += b"<Verts>%s</Verts></Piece>" % element(b"DataArray", b'type="Int64"', bytes(24))
    content = b'<?xml version="1.0"?>\n<VTKFile %s>\n<PolyData>\n%s%s</PolyData>\n' % (
        *(root.encode(), fields, pieces),
    )
    if place != "inline":
        content += b'<AppendedData encoding="%s">\n _%s\n</AppendedData>\n' % (
            *(place.encode(), appended),
        )
    return content + b"</VTKFile>\n", points


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("byte_order", "header"), [("<", "I"), ("<", "Q"), (">", "I"), (">", "Q")])
@pytest.mark.parametrize("place", ["inline", "base64", "raw"])
def test_every_encoding_is_read_and_only_points_are_replaced(
    tmp_path, place, byte_order, header, compressed, kind
):
    path = tmp_path / "a.vtp"
    content, elements = binary_file(place, byte_order, header, compressed, kind, space=b"LPS")
    path.write_bytes(content)
    document = read_point_document(path)
    assert (document.kind, document.has_space) == ("vtp", True)
    np.testing.assert_array_equal(document.points.numpy(), POINTS * LPS)
    # What lies between the elements of points stays as it is.
    rest, between = content, []
    for element in elements:
        before, _, rest = rest.partition(element)
        between.append(before)
    pattern = b"(.*)".join(map(re.escape, [*between, rest]))
    shift = torch.tensor([10, 20.5, -30], dtype=torch.float64)
    found = re.fullmatch(pattern, document.render(document.points + shift), re.DOTALL)
    arrays = [ElementTree.fromstring(group) for group in found.groups()]
    assert all(
        (a.tag, a.get("type"), a.get("format")) == ("DataArray", kind, "ascii") for a in arrays
    )
    assert [len(a.text.split()) for a in arrays] == [6, 0, 3]
    written = np.array(" ".join(a.text for a in arrays).split(), float).reshape(-1, 3)
    np.testing.assert_array_equal(written, POINTS + shift.numpy() * LPS)


@pytest.mark.parametrize(
    ("space", "has_space"), [(b"RAS", True), (b"LPX", False), (b"\xc5PS", False), (b"", False)]
)
@pytest.mark.parametrize("place", ["inline", "raw"])
def test_only_ras_and_lps_are_spaces(tmp_path, place, space, has_space):
    content, _ = binary_file(place, "<", "I", False, "Float64", space=space)
    (tmp_path / "a.vtp").write_bytes(content)
    document = read_point_document(tmp_path / "a.vtp")
    assert document.has_space is has_space
    np.testing.assert_array_equal(document.points.numpy(), POINTS)
    (tmp_path / "b.vtp").write_bytes(document.render(document.points))
    assert torch.equal(read_point_document(tmp_path / "b.vtp").points, document.points)


TEXT = """\
<VTKFile type="PolyData">
  <PolyData>
    <FieldData>
      <Array type="String" Name="SPACE" format="ascii">76 80 83 0</Array>
    </FieldData>
    <Piece NumberOfPoints="2">
      <Points>
        <DataArray type="Float64" format="ascii">1.5 -2 3 40 5.25 -6</DataArray>
      </Points>
    </Piece>
  </PolyData>
</VTKFile>
"""
RAS = [[-1.5, 2, 3], [-40, -5.25, -6]]


def edited(tmp_path, old, new):
    assert old in TEXT
    (tmp_path / "a.vtp").write_text(TEXT.replace(old, new), encoding="utf-8")
    return tmp_path / "a.vtp"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<VTKFile", '<?xml version="1.0" encoding="ascii"?>\n<VTKFile'),
        ('type="Float64"', 'type="Float64" NumberOfComponents="3"'),
        ("40 5.25 -6", "40 5.25 -6 7 8 9"),  # VTK, too, reads no more than it needs
        ('NumberOfPoints="2"', f'NumberOfPoints="{2:018}"'),
        ("<PolyData>", f"<PolyData>{'<a>' * 62}{'</a>' * 62}"),
        ("<FieldData>", '<FieldData><Array Name="NAME" format="ascii">82 65 83</Array>'),
        ("</FieldData>", '<Array Name="TIME" format="ascii">82 65 83</Array></FieldData>'),
        ("</FieldData>", '<Array format="ascii">82 65 83</Array></FieldData>'),
        (
            "<Points>",
            '<PointData><DataArray Name="SPACE" format="ascii">82 65 83</DataArray></PointData>'
            "<Points>",
        ),
        (
            "</Points>",
            '</Points><Polys><DataArray type="Int64" format="ascii">0 1</DataArray></Polys>',
        ),
        (
            "-6</DataArray>",
            '-6<InformationKey name="x"><Value>9</Value></InformationKey></DataArray>',
        ),
    ],
)
def test_what_does_not_matter_to_the_points_is_ignored(tmp_path, old, new):
    document = read_point_document(edited(tmp_path, old, new))
    assert document.has_space
    assert document.points.tolist() == RAS


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        (
            "<VTKFile",
            '<?xml version="1.0" encoding="no-encoding"?>\n<VTKFile',
            "truncated or damaged",
        ),
        ("<VTKFile", '<?xml version="1.0" encoding="utf-7"?>\n<VTKFile', "truncated or damaged"),
        ("</PolyData>\n</VTKFile>\n", "", r"truncated or damaged \(no element|not well|truncated"),
        ("</VTKFile>", "<AppendedData", "truncated or damaged"),
        ("<PolyData>", f"<PolyData>{'<a>' * 63}{'</a>' * 63}", "nested too deeply"),
        ('type="PolyData"', 'type="UnstructuredGrid"', "type 'UnstructuredGrid'; only PolyData"),
        ('type="PolyData"', 'type="ImageData"', "type 'ImageData'; only PolyData"),
        ('type="PolyData"', 'kind="PolyData"', "type ''; only PolyData"),
        ('type="PolyData"', f'type="{"ABCDE" * 10}"', f"type '{'ABCDE' * 8}'; only"),
        ('type="PolyData"', 'type="PolyData" compressor="vtkZstdData"', "with vtkZstdData; write"),
        ('type="PolyData"', 'type="PolyData" compressor="vtkLZ4Data"', "with vtkLZ4Data; write"),
        (
            'type="PolyData"',
            f'type="PolyData" compressor="{"ABCDE" * 10}"',
            f"with {'ABCDE' * 8}; write",
        ),
        ('type="Float64"', 'type="Int32"', "must be Float32 or Float64 in three"),
        ('type="Float64"', 'kind="Float64"', "must be Float32 or Float64 in three"),
        ('type="Float64"', 'type="Float64" NumberOfComponents="2"', "in three components"),
        ('type="Float64"', 'type="Float64" NumberOfComponents="4"', "in three components"),
        ('NumberOfPoints="2"', 'NumberOfPoints="3"', "array has 6 numbers instead of 9"),
        ('NumberOfPoints="2"', 'NumberOfPoints="20000000"', "6 numbers instead of 60000000"),
        ('NumberOfPoints="2"', 'NumberOfPoints="20000001"', "has more than 20000000 points"),
        ('NumberOfPoints="2"', 'NumberOfPoints="0"', "has no points"),
        ('NumberOfPoints="2"', 'NumberOfPoints="-2"', "'-2' is not a whole number"),
        ('NumberOfPoints="2"', 'NumberOfPoints="\N{SUPERSCRIPT TWO}"', "not a whole number"),
        ('NumberOfPoints="2"', 'NumberOfPoints="\N{ARABIC-INDIC DIGIT TWO}"', "not a whole number"),
        ('NumberOfPoints="2"', "", "'' is not a whole number"),
        ('NumberOfPoints="2"', f'NumberOfPoints="{2:019}"', f"'{2:019}' is not a whole number"),
        ('NumberOfPoints="2"', f'NumberOfPoints="{2:025}"', f"'{'0' * 20}' is not a whole"),
        ("-2 3", "x 3", "truncated or damaged .*could not convert"),
        ("-2 3", "nan 3", "points that are not finite"),
        ("-2 3", "-inf 3", "points that are not finite"),
        (
            '"Float64" format="ascii"',
            f'"Float64" format="{"ABCDE" * 5}"',
            f"of the format '{'ABCDE' * 4}'",
        ),
        (
            'Float64" format="ascii',
            'Float64" format="appended" offset="0',
            "array ends after the file",
        ),
        ('"Float64" format="ascii"', '"Float64"', "of the format 'None'"),
        ('"Float64" format="ascii"', '"Float64" format="appended"', "'' is not a whole number"),
    ],
)
def test_what_is_no_table_of_points_is_refused(tmp_path, old, new, pattern):
    with pytest.raises(UserError, match=pattern) as caught:
        read_points(edited(tmp_path, old, new), "ras")
    assert "a.vtp" in str(caught.value)


@pytest.mark.parametrize("name", ["Aa", "Zz", "vtk"])
def test_another_root_element_is_refused(tmp_path, name):
    path = edited(tmp_path, "<VTKFile", f'<{name} type="PolyData"><VTKFile')
    path.write_text(f"{path.read_text()}</{name}>")
    with pytest.raises(UserError, match="only PolyData"):
        read_point_document(path)


@pytest.mark.parametrize(
    ("size", "pattern"),
    [(480_000_000, "an array ends after the file"), (480_000_001, "array of 480000001 bytes")],
)
def test_an_array_of_more_bytes_than_the_most_points_need_is_refused(tmp_path, size, pattern):
    numbers = base64.b64encode(struct.pack("<I6d", size, *range(6))).decode()
    path = edited(tmp_path, 'format="ascii">1.5 -2 3 40 5.25 -6', f'format="binary">{numbers}')
    with pytest.raises(UserError, match=pattern):
        read_point_document(path)


@pytest.mark.parametrize("count", [5, 6, 7])
def test_a_binary_array_may_be_longer_but_not_shorter_than_the_points(tmp_path, count):
    numbers = base64.b64encode(struct.pack(f"<I{count}d", 8 * count, *range(count))).decode()
    path = edited(tmp_path, 'format="ascii">1.5 -2 3 40 5.25 -6', f'format="binary">{numbers}')
    if count < 6:
        with pytest.raises(UserError, match="an array has 5 numbers instead of 6"):
            read_point_document(path)
    else:
        assert read_point_document(path).points.tolist() == [[0, -1, 2], [-3, -4, 5]]


def test_an_array_inside_its_element_is_base64_also_where_others_are_appended_raw(tmp_path):
    numbers = base64.b64encode(struct.pack("<I6d", 48, *range(6))).decode()
    path = edited(tmp_path, 'format="ascii">1.5 -2 3 40 5.25 -6', f'format="binary">{numbers}')
    space = '<AppendedData encoding="raw">\n_\3\0\0\0RAS</AppendedData></VTKFile>'
    text = path.read_text().replace("</VTKFile>", space)
    path.write_text(text.replace('"ascii">76 80 83 0', '"appended" offset="0">'))
    assert read_point_document(path).points.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("kind", "text"), [("Float32", "0.333333343"), ("Float64", "0.33333333333333331")]
)
def test_written_numbers_have_as_many_digits_as_their_type_needs(tmp_path, kind, text):
    path = edited(tmp_path, 'type="Float64"', f'type="{kind}"')
    document = read_point_document(path)
    third = np.array(1 / 3, TYPES[kind]).astype(float)
    content = document.render(
        torch.full((2, 3), float(third), dtype=torch.float64) * torch.tensor(LPS)
    )
    array = next(ElementTree.fromstring(content).iter("DataArray"))
    assert array.text.split() == [text] * 6


def test_a_mesh_of_too_many_bytes_is_refused(tmp_path):
    with (tmp_path / "a.vtp").open("wb") as stream:
        stream.write(b"<VTKFile")
        stream.truncate(MAX_MESH_BYTES + 1)
    with pytest.raises(UserError, match=r"536870913 bytes; at most 536870912 .*reduce the mesh"):
        read_point_document(tmp_path / "a.vtp")
