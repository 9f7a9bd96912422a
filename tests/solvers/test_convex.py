import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from zoo.solvers.convex import COUPLING, coupled_convex, make_consistent, search_field
from zoo.solvers.correlation import candidates


def plain_coupled_convex(cost, options, shape):
    """Return the successive smooth fields, by loops over the cells."""

    def smoothed(choice):
        field = options[choice].T.reshape(3, *shape)
        return np.stack([uniform_filter(f, 3, mode="constant") for f in field])

    iterates = [smoothed(cost.argmin(1))]
    for weight in COUPLING:
        u = iterates[-1].reshape(3, -1).T
        choice = [
            (c + weight * ((options - expected) ** 2).sum(1)).argmin()
            for c, expected in zip(cost, u, strict=True)
        ]
        iterates.append(smoothed(choice))
    return iterates[1:]


@pytest.mark.parametrize("average", [True, False])
def test_equals_a_plain_loop(average):
    shape, reach = (5, 4, 6), 2
    g = torch.Generator().manual_seed(0)
    cost = torch.rand(120, 125, generator=g).half()
    result = coupled_convex(cost, shape, reach, average=average)[0].numpy()
    iterates = plain_coupled_convex(
        cost.double().numpy(), candidates(reach).double().numpy(), shape
    )
    expected = np.mean(iterates, 0) if average else iterates[-1]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_cells_with_equal_costs_do_not_move():
    assert coupled_convex(torch.ones(60, 27).half(), (3, 4, 5), 1).abs().max() == 0


def features(shape, seed=0):
    random = np.random.default_rng(seed).standard_normal((4, *shape))
    smooth = np.stack([gaussian_filter(r, 1.5) for r in random])
    return torch.tensor(smooth / smooth.std()).float()[None]


def test_finds_a_shift():
    moving = features((16, 14, 15))
    fixed = torch.roll(moving, (-1, 2, 1), (2, 3, 4))  # fixed(i) = moving(i + (1, -2, -1))
    result = search_field(fixed, moving, 3)[0, :, 4:-4, 4:-4, 4:-4]
    assert (result - torch.tensor([1.0, -2.0, -1.0]).view(3, 1, 1, 1)).abs().max() < 0.1


def test_blocks_do_not_change_the_field():
    fixed, moving = features((40, 26, 24), 1), features((40, 26, 24), 2)
    whole = search_field(fixed, moving, 1)
    split = search_field(fixed, moving, 1, memory=2 * 27 * 14000)  # of 24 960 cells
    assert torch.equal(whole, split)


def test_consistent_fields_are_inverse_to_each_other():
    rng = np.random.default_rng(3)
    shape = (14, 12, 13)

    def field():
        return np.stack([gaussian_filter(rng.standard_normal(shape), 3) * 30 for _ in range(3)])

    forward, backward = torch.tensor(field())[None].float(), torch.tensor(field())[None].float()
    first, second = (f[0].numpy() for f in make_consistent(forward, backward, 15))
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    back = np.stack([map_coordinates(f, index + first, order=1, mode="nearest") for f in second])
    assert np.abs(first + back).mean() < 0.05
    # Fields that are inverse to each other do not change.
    shift = torch.ones(1, 3, *shape)
    assert (make_consistent(shift, -shift)[0] - shift).abs().max() < 1e-5
