"""The levels of MCBO, compared with a plain implementation of the paper."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates, uniform_filter
from support.mcbo_cases import pair, phantom

from zoo.solvers.mcbo import MCBO


def plain_features(image):
    image = np.asarray(image, float)
    steps = [s * e for e in np.eye(3, dtype=int) for s in (1, -1)]
    channels = []
    for i in range(6):
        for j in range(i):
            if ((steps[i] - steps[j]) ** 2).sum() != 2:
                continue
            padded = np.pad(image, 2, mode="edge")
            a, b = (
                padded[
                    tuple(
                        slice(2 + 2 * o, 2 + 2 * o + n) for o, n in zip(s, image.shape, strict=True)
                    )
                ]
                for s in (steps[i], steps[j])
            )
            channels.append(uniform_filter((a - b) ** 2, 3, mode="nearest"))
    m = np.stack(channels) - np.min(channels, 0)
    variance = m.mean(0)
    return np.exp(-m / np.clip(variance, 1e-3 * variance.mean(), 1e3 * variance.mean()))


def plain_pool(volume, n):
    c, x, y, z = volume.shape
    return volume.reshape(c, x // n, n, y // n, n, z // n, n).mean((2, 4, 6))


def plain_search(fixed, moving, reach=4):
    shape = fixed.shape[1:]
    padded = np.pad(moving, [(0, 0)] + [(reach, reach)] * 3)
    span = np.arange(-reach, reach + 1)
    options = np.array([(x, y, z) for x in span for y in span for z in span])
    cost = np.empty((len(options), *shape), np.float32)
    for k, d in enumerate(options + reach):
        window = padded[(slice(None), *(slice(s, s + n) for s, n in zip(d, shape, strict=True)))]
        ssd = ((fixed - window) ** 2).sum(0)
        for _ in range(2):
            ssd = uniform_filter(ssd, 3, mode="constant")
        cost[k] = ssd

    def smooth(choice):
        return np.stack(
            [
                uniform_filter(options[choice][..., k].astype(float), 3, mode="constant")
                for k in range(3)
            ]
        )

    u = smooth(cost.argmin(0))
    iterates = []
    for coupling in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
        choice = np.empty(shape, int)
        for x in range(shape[0]):
            away = options[:, :, None, None] - u[None, :, x]
            choice[x] = (cost[:, x] + coupling * (away**2).sum(1)).argmin(0)
        u = smooth(choice)
        iterates.append(u)
    return np.mean(iterates, 0)


def plain_level(fixed, moving, n):
    """Correlation, weight-balanced coupled convex, inverse consistency, upsampling: voxels."""
    shape = fixed.shape
    f, m = plain_pool(plain_features(fixed), n), plain_pool(plain_features(moving), n)
    there, back = plain_search(f, m), plain_search(m, f)
    index = np.stack(np.meshgrid(*map(np.arange, f.shape[1:]), indexing="ij"))

    def at(field, d):
        return np.stack([map_coordinates(v, index + d, order=1, mode="nearest") for v in field])

    for _ in range(15):
        there, back = (there - at(back, there)) / 2, (back - at(there, back)) / 2
    fine = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    where = (fine - (n - 1) / 2) / n
    return n * np.stack([map_coordinates(v, where, order=1, mode="nearest") for v in there])


@pytest.mark.parametrize("level", [2, 4, 6])
def test_levels_are_those_of_a_plain_implementation_of_the_paper(level):
    fixed, moving, _ = phantom((24, 24, 36) if level == 2 else (48, 36, 36), amplitude=2.5 * level)
    solver = MCBO("paper", changes={"levels": [level], "reach": [4], "weights": [1.0]})
    result = solver(pair(moving, fixed))[0].numpy()
    expected = plain_level(fixed.numpy(), moving.numpy(), level)
    assert np.linalg.norm(expected, axis=0).mean() > 0.5
    distance = np.linalg.norm(result - expected, axis=0)
    assert distance.mean() < 0.03
    assert np.quantile(distance, 0.95) < 0.1


def test_paper_sums_the_levels_with_its_weights(small):
    """Level 6 has too few cells on 32 x 32 x 32 voxels, so levels 1, 2 and 4 weigh a third each."""
    image = pair(*(v[:32, :32, :32] for v in (small[1], small[0])))
    parts = [
        MCBO("paper", changes={"levels": [n], "reach": [2], "weights": [1.0]})(image)
        for n in (1, 2, 4)
    ]
    whole = MCBO("paper", changes={"reach": [2, 2, 2, 2]})(image)
    torch.testing.assert_close(whole, sum(parts) / 3, atol=1e-4, rtol=0)
