import numpy as np
import pytest
import torch
from scipy.ndimage import label

from zoo.geometry.grid import Grid
from zoo.measures.padding import BLOCKS, box_of, find_data


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def planes(shape, normal, offset):
    """Return where a plane through the grid leaves data: bool [X, Y, Z]."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    return torch.from_numpy(index @ np.array(normal) > offset)


def cylinder(shape):
    x, y = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape[:2]], indexing="ij")
    inside = (x / shape[0]) ** 2 + (y / shape[1]) ** 2 < 0.25
    return torch.from_numpy(np.repeat(inside[:, :, None], shape[2], 2))


REGIONS = {
    "plane along the grid": ((30, 41, 22), planes((30, 41, 22), (0, 0, 1), 8)),
    "oblique plane": ((33, 28, 40), planes((33, 28, 40), (0.5, 0.7, -0.3), 9)),
    "round field of view": ((60, 52, 11), cylinder((60, 52, 11))),
    "several voxels per block": ((2 * BLOCKS + 7, 31, 46), planes((199, 31, 46), (1, 0.2, 0), 57)),
}


def connected_padding(image, value):
    """Return the voxels of a value that are connected to the border, by labelling every voxel."""
    regions, _ = label(image == value)
    border = np.concatenate([np.take(regions, e, k).ravel() for k in range(3) for e in (0, -1)])
    return np.isin(regions, np.setdiff1d(border, 0))


@pytest.mark.parametrize("value", [0.0, -3024.0, 99.0])
@pytest.mark.parametrize(("shape", "data"), REGIONS.values(), ids=REGIONS)
def test_padding_is_the_constant_region_at_the_border(shape, data, value):
    image = torch.where(data, noise(shape), value)
    image[tuple(n // 2 for n in shape)] = value  # a voxel of that value inside is data
    expected = ~connected_padding(image.numpy(), value)
    data = find_data(image).numpy()
    assert not (expected & ~data).any()
    assert (data & ~expected).mean() < 0.005  # slivers that are thinner than a block


@pytest.mark.parametrize(
    "image",
    [
        noise((20, 20, 20)),
        noise((30, 30, 30)).mul(3).round().clamp(0, 5),  # more than half of it is exactly 0
        torch.full((10, 10, 10), 7.0),
    ],
    ids=["noise", "noise of few values", "constant"],
)
def test_noise_and_constant_images_have_no_padding(image):
    assert find_data(image) is None


def test_a_constant_region_inside_is_data():
    image = noise((24, 24, 24))
    image[4:20, 4:20, 4:20] = 0
    assert find_data(image) is None


def test_the_box_contains_all_data_and_keeps_their_places(grid):
    data = torch.zeros(grid.shape, dtype=torch.bool)
    data[3:7, 5, 2:9] = True
    data[6, 8, 4] = True
    box, cropped = box_of(data, grid)
    assert box == (slice(3, 7), slice(5, 9), slice(2, 9))
    inside = data[box].nonzero().double()
    torch.testing.assert_close(cropped.to_world(inside), grid.to_world(data.nonzero().double()))
    assert isinstance(cropped, Grid)
    assert cropped.shape == (4, 4, 7)
