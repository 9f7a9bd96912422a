"""The limits are the documented ones, and what is at a limit is accepted."""

import datetime
import re
from pathlib import Path

import pytest

from zoo import UserError
from zoo.io import limits
from zoo.io.limits import check_file_size, check_plain_value, check_voxel_count

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"

DOCUMENTED = [
    ("NIfTI", "{2^30} voxels", limits.MAX_VOXELS),
    ("NIfTI", "header and extensions of at most {64 MiB}", limits.MAX_NIFTI_OFFSET),
    ("NIfTI", "at most {1000} extensions", limits.MAX_EXTENSIONS),
    ("NIfTI", "({1032} times its size with gzip)", limits.MAX_DEFLATE_RATIO),
    ("NIfTI", "at most {16 MiB} after the voxels", limits.MAX_TRAILING_BYTES),
    ("MetaImage", "header of at most {1 MiB}", limits.MAX_TEXT_HEADER_BYTES),
    ("MetaImage", "{10,000} lines", limits.MAX_TEXT_HEADER_LINES),
    ("MetaImage", "of at most {4096} bytes", limits.MAX_TEXT_HEADER_LINE),
    ("MetaImage", "numbers up to {10^9}", limits.MAX_TEXT_HEADER_NUMBER),
    ("DICOM", "{20,000} files", limits.MAX_DICOM_FILES),
    ("DICOM", "{20,000} frames", limits.MAX_DICOM_FRAMES),
    ("DICOM", "{4 GiB} per file", limits.MAX_DICOM_FILE_BYTES),
    ("HDF5", "{64} transforms", limits.MAX_TRANSFORM_PARTS),
    ("ITK text", "{32 MiB}", limits.MAX_TEXT_TRANSFORM_BYTES),
    ("MATLAB 4", "{1 MiB}", limits.MAX_MAT_BYTES),
    ("text matrix", "{4096} bytes", limits.MAX_TEXT_MATRIX_BYTES),
    ("FreeSurfer", "{64 KiB}", limits.MAX_LTA_BYTES),
    ("Learn2Reg field", "members of at most {1 MiB}", limits.MAX_ZIP_DIRECTORY_BYTES),
    ("points, fiducials and tables", "{32 MiB}", limits.MAX_CSV_BYTES),
    ("points, fiducials and tables", "{500,000} lines", limits.MAX_CSV_ROWS),
    ("points, fiducials and tables", "{1000} columns", limits.MAX_CSV_COLUMNS),
    ("points, fiducials and tables", "{4096} characters per cell", limits.MAX_CSV_CELL),
    ("points, fiducials and tables", "coordinates up to {10^9} mm", limits.MAX_COORDINATE),
    ("VTK", "{512 MiB}", limits.MAX_MESH_BYTES),
    ("VTK", "{20,000,000} points", limits.MAX_POINTS),
    ("`dataset.json`", "{16 MiB}", limits.MAX_JSON_BYTES),
    ("`dataset.json`", "{64} levels", limits.MAX_DEPTH),
    ("results of an evaluation", "{128 MiB}", limits.MAX_RESULTS_BYTES),
    ("YAML", "{64 KiB}", limits.MAX_YAML_BYTES),
    ("weights", "header of at most {8 MiB}", limits.MAX_WEIGHTS_HEADER_BYTES),
    ("weights", "{20,000} tensors", limits.MAX_TENSORS),
    ("weights", "{8} axes", limits.MAX_TENSOR_AXES),
]
"""Row of the table, words of its second column with the limit in braces, and the limit."""


def documented_number(text):
    number, _, unit = text.replace(",", "").partition(" ")
    base, _, power = number.partition("^")
    factor = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]
    return int(base) ** int(power or 1) * factor


@pytest.mark.parametrize(
    ("row", "words", "limit"), DOCUMENTED, ids=[f"{r}: {w}" for r, w, _ in DOCUMENTED]
)
def test_limits_are_the_documented_ones(row, words, limit):
    rows = [line.split("|") for line in REFERENCE.read_text("utf-8").splitlines()]
    cell = next(cells[2] for cells in rows if len(cells) > 3 and cells[1].strip().startswith(row))
    assert words.replace("{", "").replace("}", "") in cell
    assert limit == documented_number(re.search("{(.*)}", words)[1])


def test_a_file_has_at_most_the_bytes_of_its_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    check_file_size(tmp_path / "a", 5, "shorten it")
    with pytest.raises(UserError) as refusal:
        check_file_size(tmp_path / "a", 4, "shorten it")
    assert str(refusal.value) == f"{tmp_path / 'a'} has 5 bytes; at most 4 are allowed: shorten it"


def test_a_volume_has_at_most_two_to_the_thirty_voxels():
    check_voxel_count(Path("a"), (1024, 1024, 1024), 1 << 30)
    with pytest.raises(
        UserError, match=r"^a has the shape \(7, 9\); at most 1073741824"
    ) as refusal:
        check_voxel_count(Path("a"), (7, 9), (1 << 30) + 1)
    assert refusal.value.code == "too-large"


def nested(levels, value, kind):
    for _ in range(levels):
        value = [0, value] if kind is list else {"a": 0, "b": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_lists_and_mappings_are_nested_at_most_64_times(kind):
    check_plain_value(nested(64, 1, kind))
    with pytest.raises(ValueError, match="nested too deeply: at most 64 levels are allowed"):
        check_plain_value(nested(65, 1, kind))


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, "", "text", 0, -1.5, 1e308, 2**64 - 1, 1 - 2**64, [], {}),
        *(datetime.date(2026, 11, 28), datetime.datetime(2026, 11, 28, 1, 2)),
        *({"a": [{"b": None}, 2]}, {1: 2, -3: 4}, {2**64 - 1: 0}),
    ],
    ids=str,
)
def test_plain_values_are_accepted(value):
    check_plain_value(value)
    check_plain_value([0, {"a": value}])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (2**64, "it contains an integer of more than 64 bits"),
        (-(2**64), "it contains an integer of more than 64 bits"),
        (float("nan"), "it contains nan; only finite numbers are allowed"),
        (float("-inf"), "it contains -inf; only finite numbers are allowed"),
        (b"x", "it contains a bytes; write text or a number"),
        ((1, 2), "it contains a tuple; write text or a number"),
        (1j, "it contains a complex; write text or a number"),
        ({2**64: 0}, "it contains an integer of more than 64 bits"),
        ({True: 0}, "the key 'True' is not text"),
        ({None: 0}, "the key 'None' is not text"),
        ({1.5: 0}, "the key '1.5' is not text"),
        ({b"k" * 99: 0}, f"""the key "b'{"k" * 58}" is not text"""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_other_values_are_refused(value, reason):
    for place in (value, [1, value], {"a": value, "b": 1}):
        with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole message is compared
            check_plain_value(place)
        assert str(refusal.value) == reason
