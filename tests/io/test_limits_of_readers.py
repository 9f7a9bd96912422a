"""Small files that describe too much are refused quickly and without the memory they ask for."""

import gzip
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from fuzzing import samples
from support.limit_cases import refused

from zoo.geometry import Grid
from zoo.hub.weights_header import read_weights_header
from zoo.io.csv_rows import read_csv_rows
from zoo.io.json_documents import read_json_object
from zoo.io.limits import MAX_CSV_COLUMNS, MAX_CSV_ROWS, MAX_DEPTH, MAX_TENSORS
from zoo.io.points import read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume

GRID = Grid.from_spacing((5, 6, 7))


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        ({"a": [[]] * 2}, None),
        (json.loads("[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)), None),
        (json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)), "nested too deeply"),
        (2**64, "integer of more than 64 bits"),
        (2**64 - 1, None),
    ],
)
def test_depth_and_integers_of_json_are_limited(tmp_path, content, pattern):
    text = json.dumps({"a": content}).encode()
    if pattern is None:
        (tmp_path / "a.json").write_bytes(text)
        assert read_json_object(tmp_path / "a.json") == {"a": content}
    else:
        refused(tmp_path / "a.json", text, pattern, read_json_object)


def test_floats_beyond_the_range_are_refused_in_json(tmp_path):
    refused(tmp_path / "a.json", b'{"a": 1e999}', "only finite numbers", read_json_object)


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (b"\n" * (MAX_CSV_ROWS + 1), "more than 500000 rows"),
        (b"," * (MAX_CSV_COLUMNS + 1), "more than 1000 columns"),
        (b"a,b\n1," + b"x" * 5000, "line 2 has a cell of more than 4096"),
        (b"a,\0b\n", "NUL"),
        (b'a,"b\n', "is not a CSV table"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_tables_are_limited(tmp_path, content, pattern):
    refused(tmp_path / "a.csv", content, pattern, read_csv_rows)


@pytest.mark.parametrize(
    "cell", ["1_000", "\u0661", "1e300", "-1e10", "nan", "1e999"], ids=lambda cell: ascii(cell)
)
def test_points_must_be_plain_numbers_of_a_plausible_size(tmp_path, cell):
    content = f"x,y,z\n1,2,3\n1,{cell},3\n".encode()
    pattern = "not a number|not finite|mm from the origin"
    refused(tmp_path / "a.csv", content, pattern, lambda path: read_points(path, "ras"))


def safetensors_file(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        ({"a": {"dtype": "F32", "shape": [2**31] * 100_000, "data_offsets": [0, 4]}}, "'a' incon"),
        ({"a": {"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "b": 1}}, "'a' incons"),
        ({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, "'a' inconsistently"),
        ({"__metadata__": {"width": 3}}, "metadata are not texts"),
        (
            {
                str(k): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                for k in range(MAX_TENSORS + 1)
            },
            "at most 20000 are allowed",
        ),
    ],
)
def test_headers_of_weights_are_limited(tmp_path, header, pattern):
    content = safetensors_file(header, bytes(4))
    refused(tmp_path / "a.safetensors", content, pattern, read_weights_header)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(("position", "number"), [(352, -32), (352, 0), (352, 2**31 - 1)])
def test_broken_extensions_are_refused(tmp_path, position, number, compress):
    content = bytearray(samples.nifti())
    assert struct.unpack_from("<i", content, 352)[0] == 32
    content[position : position + 4] = struct.pack("<i", number)
    path = tmp_path / ("a.nii" if compress is bytes else "a.nii.gz")
    refused(path, compress(bytes(content)), "broken header extension at byte 352", read_volume)


def test_extensions_of_any_code_do_not_matter(tmp_path):
    content = bytearray(samples.nifti())
    content[356:360] = struct.pack("<i", 12345)
    (tmp_path / "a.nii").write_bytes(content)
    (tmp_path / "b.nii").write_bytes(samples.nifti())
    a, b = (read_volume(tmp_path / name).data for name in ("a.nii", "b.nii"))
    assert a.equal(b)


def test_voxels_far_behind_the_header_are_refused(tmp_path):
    content = bytearray(samples.nifti())
    content[108:112] = struct.pack("<f", 2.0**27)
    path = tmp_path / "a.nii.gz"
    refused(path, gzip.compress(bytes(content)), "data begin at byte.*at most", read_volume)


def test_much_data_after_the_voxels_is_refused(tmp_path):
    content = gzip.compress(samples.nifti() + bytes(20 << 20))
    refused(tmp_path / "a.nii.gz", content, "bytes follow its voxels", read_volume)


@pytest.mark.parametrize("position", [252, 254])
def test_codes_of_a_form_are_those_of_nifti(tmp_path, position):
    content = bytearray(samples.nifti())
    for code in range(6):  # unknown, scanner, aligned, Talairach, MNI, template
        content[position : position + 2] = struct.pack("<h", code)
        (tmp_path / "a.nii").write_bytes(content)
        read_volume(tmp_path / "a.nii")
    for code in (-1, 6, 9):
        content[position : position + 2] = struct.pack("<h", code)
        refused(tmp_path / "a.nii", bytes(content), f"form code {code}; only 0 to 5", read_volume)


def npz_of(header, body=b"", *, method=zipfile.ZIP_DEFLATED, copies=1, version=b"\1\0"):
    content = io.BytesIO()
    text = header.encode() + b"\n"
    array = b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + body
    with zipfile.ZipFile(content, "w", method) as archive:
        for k in range(copies):
            archive.writestr(f"arr_{k}.npy", array)
    return content.getvalue()


HEADER = "{{'descr': '{}', 'fortran_order': {}, 'shape': {}}}"


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (npz_of(HEADER.format("<f4", False, (10**6, 10**3, 3))), "at most 1073741824|needs"),
        (npz_of(HEADER.format("<f4", False, (10**9,)), bytes(100)), "needs 4000000000 bytes"),
        (npz_of(HEADER.format("<f4", False, (10**20,))), "at most 1073741824"),
        (npz_of(HEADER.format("<f4", False, (-1, -1))), "damaged"),
        (npz_of(HEADER.format("<f4", False, "(" * 3000 + ")" * 3000)), "damaged"),
        (npz_of(HEADER.format("|O", False, (3,)), b"cos\nsystem\n(S'x'\ntR."), "Python objects"),
        (npz_of(HEADER.format("<f4", False, (5, 6, 7, 3)), bytes(2521)), "needs 2520"),
        (npz_of(HEADER.format("<f4", False, (1,)), bytes(4), version=b"\3\0"), "version"),
        (npz_of(HEADER.format("<f4", False, (1,)), bytes(4), copies=40_000), "list of members"),
        (npz_of("", method=zipfile.ZIP_LZMA), "method 14"),
    ],
)
@pytest.mark.usefixtures("limited_memory")
def test_archives_are_checked_before_they_are_decompressed(tmp_path, content, pattern):
    refused(tmp_path / "a.npz", content, pattern, lambda path: read_transform(path, GRID, GRID))


def test_an_archive_that_announces_more_than_4_gib_is_refused(tmp_path):
    content = npz_of(HEADER.format("<f4", False, (1,)), bytes(4))
    end = content.rindex(b"PK\5\6")
    content = content[:end] + b"PK\6\7" + bytes(16) + content[end:]
    pattern = "more than 4 GiB"
    refused(tmp_path / "a.npz", content, pattern, lambda path: read_transform(path, GRID, GRID))


def test_arrays_in_both_orders_and_byte_orders_are_read(tmp_path):
    field = np.random.default_rng(0).normal(size=(5, 6, 7, 3)).astype("<f4")
    np.savez(tmp_path / "c.npz", field)
    np.savez(tmp_path / "f.npz", np.asfortranarray(field).astype(">f4", order="K"))
    c, f = (read_transform(tmp_path / name, GRID, GRID).field for name in ("c.npz", "f.npz"))
    assert c.equal(f)
