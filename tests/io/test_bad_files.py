import pytest
from support.bad_files import BAD_FILES

from zoo import UserError
from zoo.io.labels import read_labels
from zoo.io.points import read_points
from zoo.io.transforms import read_transform
from zoo.io.volume import read_header, read_volume

READERS = {
    "volume": read_volume,
    "labels": read_labels,
    "points": lambda path: read_points(path, "ras"),
    "transform": read_transform,
}
NEED_THE_VOXELS = {
    "truncated nii gz",
    "gzip with a wrong checksum",
    "complete gzip of too few voxels",
    "one voxel is nan",
    "one voxel is infinite",
    "infinite slope",
    "unsigned beyond 64 bits",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_with_one_line_that_names_it(tmp_path, name):
    bad = BAD_FILES[name]
    path = bad.make(tmp_path)
    with pytest.raises(UserError, match=bad.pattern) as refusal:
        READERS[bad.kind](path)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(path) in message


@pytest.mark.parametrize("name", [name for name, bad in BAD_FILES.items() if bad.kind == "volume"])
def test_bad_headers_are_refused_without_reading_voxels(tmp_path, name):
    path = BAD_FILES[name].make(tmp_path)
    if name in NEED_THE_VOXELS:
        assert read_header(path).grid.shape
    else:
        with pytest.raises(UserError, match=BAD_FILES[name].pattern):
            read_header(path)
