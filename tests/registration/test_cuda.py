"""Registrations on a GPU agree with those on the CPU."""

from __future__ import annotations

import pytest
import torch

from zoo.networks import GradICON
from zoo.networks.recolour import recoloured
from zoo.solvers.mcbo import MCBO
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def images(size, contrasts=("t1", "t1")):
    """Return a phantom pair [1, 2, n, n, n] in [0, 1], the moving image first."""
    pair = make_pair(3, shape=(size,) * 3, spacing=(192 / size,) * 3, contrasts=contrasts)
    both = torch.stack([pair.moving, pair.fixed])[None]
    low, high = both.amin((2, 3, 4), keepdim=True), both.amax((2, 3, 4), keepdim=True)
    return (both - low) / (high - low)


@pytest.mark.parametrize("recolour", [False, True])
def test_cuda_predicts_what_the_cpu_predicts_with_gradicon(recolour):
    torch.manual_seed(0)
    network = GradICON(width=8, recolour=recolour).eval()
    for name, weight in network.named_parameters():
        if "lastConv" in name:
            torch.nn.init.normal_(weight, std=0.02)
    image = images(66, ("t1", "t2"))
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        expected = network(image)
        found = network.cuda()(image.cuda()).cpu()
    assert float(expected.abs().max()) > 0.5
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)


def test_cuda_recolours_as_the_cpu_does():
    moving, fixed = images(48, ("t1", "t2")).split(1, dim=1)
    expected = recoloured(moving, fixed)
    torch.testing.assert_close(recoloured(moving.cuda(), fixed.cuda()).cpu(), expected)


def test_cuda_registers_as_well_as_the_cpu_with_mcbo():
    image = images(64, ("t1", "t2"))
    expected = MCBO()(image)
    found = MCBO()(image.cuda()).cpu()
    assert float(expected.norm(dim=1).mean()) > 0.5
    assert float((found - expected).norm(dim=1).mean()) < 0.1 * float(expected.norm(dim=1).mean())
