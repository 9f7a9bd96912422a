"""The type of the voxels of a DICOM series."""

from types import SimpleNamespace

import numpy as np
import pytest

from zoo.io.dicom.pixels import voxel_type


def series(bits, signed, *rescaling):
    """Return what is read of a series with one (slope, intercept) per frame."""
    file = SimpleNamespace(stored=(8 * -(-bits // 8), bits, signed))
    frames = [SimpleNamespace(slope=slope, intercept=intercept) for slope, intercept in rescaling]
    return SimpleNamespace(files=[file], first=file, frames=frames)


@pytest.mark.parametrize(
    ("bits", "signed", "rescaling", "expected"),
    [
        (12, False, [(1, -1024)], np.int16),
        (15, False, [(1, 0)], np.int16),  # 0 to 32767
        (15, False, [(1, 1)], np.int32),
        (16, True, [(1, 0)], np.int16),  # -32768 to 32767
        (16, True, [(1, -1)], np.int32),
        (16, True, [(1, 1)], np.int32),
        (16, False, [(1, -32768)], np.int16),  # -32768 to 32767
        (16, False, [(1, -32769)], np.int32),
        (16, False, [(1, 0), (1, -32768)], np.int32),
        (32, False, [(1, 0)], np.int64),
        (12, False, [(2, 0)], np.float32),
        (12, False, [(1, 0.5)], np.float32),
    ],
)
def test_it_is_the_smallest_integer_type_that_holds_all_values(bits, signed, rescaling, expected):
    assert voxel_type(series(bits, signed, *rescaling)) == expected
