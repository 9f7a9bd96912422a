"""On a full disk every writer raises one error and leaves the old file."""

import resource
from contextlib import contextmanager

import pytest
import torch

from zoo import UserError
from zoo.geometry import Grid, Transform
from zoo.io.points import write_points
from zoo.io.transforms import write_transform
from zoo.io.volume import write_volume

GRID = Grid.from_spacing((20, 20, 20))


@contextmanager
def file_size_limit(size):
    """Limit the files that this process can write to `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(path):
    noise = torch.rand(3, *GRID.shape)
    if path.name.startswith("field"):
        write_transform(path, Transform(torch.eye(4), noise, GRID), GRID, moving=GRID)
    elif path.name.startswith("points"):
        write_points(path, torch.rand(2000, 3), "ras")
    else:
        write_volume(path, noise[0], GRID)


@pytest.mark.parametrize(
    "name",
    [
        "field.nii.gz", "field.nii", "field.h5", "field.npz", "points.csv",
        "volume.nii.gz", "volume.nii", "volume.mha", "volume.nrrd",
    ],
)  # fmt: skip
def test_full_disk_is_one_error_and_keeps_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_text("old")
    with file_size_limit(8192), pytest.raises(UserError, match="cannot write") as refusal:
        write(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write(path)
    assert path.stat().st_size > 8192
