import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from zoo.solvers.correlation import candidates, correlate, pad_with_zeros, split_into_blocks


def test_candidates_are_all_displacements_once():
    result = candidates(2)
    assert result.shape == (125, 3)
    assert len({tuple(row) for row in result.tolist()}) == 125
    assert result.abs().max() == 2
    assert torch.equal(result, -result.flip(0))


@pytest.mark.parametrize("reach", [1, 2])
def test_cost_is_the_smoothed_sum_of_squared_differences(reach):
    g = torch.Generator().manual_seed(0)
    fixed, moving = torch.rand(2, 1, 5, 6, 4, 5, generator=g)
    result = correlate(fixed, pad_with_zeros(moving, reach), reach).float().numpy()
    f, m = fixed[0].double().numpy(), moving[0].double().numpy()
    m = np.pad(m, [(0, 0)] + [(reach, reach)] * 3)
    for k, d in enumerate(candidates(reach).int().tolist()):
        x, y, z = (reach + step for step in d)
        cost = ((f - m[:, x : x + 6, y : y + 4, z : z + 5]) ** 2).sum(0)
        for _ in range(2):
            cost = uniform_filter(cost, 3, mode="constant")
        np.testing.assert_allclose(result[:, k], cost.ravel(), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("cells", [1, 1800, 3000, 10**9])
@pytest.mark.parametrize("shape", [(13, 17, 19), (2, 90, 23)])
def test_blocks_cover_every_cell_once_and_fit(shape, cells):
    covered = torch.zeros(shape)
    index = torch.arange(covered.numel()).view(shape)
    for core, outer, inner in split_into_blocks(covered.shape, 2, cells):
        covered[core] += 1
        assert torch.equal(index[core], index[outer][inner])
        if cells > 12**3:
            assert index[outer].numel() <= cells
    assert torch.equal(covered, torch.ones(shape))
