"""The pair of the tests of the Python API, and its registration from files."""

import pytest
from support.api_cases import QUICK

import zoo
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair


@pytest.fixture(scope="module")
def pair():
    return make_pair(
        3, shape=(34, 28, 30), spacing=(2, 2.5, 2), axes="LPS", tilt_degrees=12, moving_axes="SAR"
    )


@pytest.fixture(scope="module")
def from_files(pair, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files with ümlaut")
    write_volume(folder / "fixed.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(folder / "moving.nii.gz", pair.moving, pair.moving_grid)
    return zoo.register(folder / "fixed.nii.gz", str(folder / "moving.nii.gz"), **QUICK)
