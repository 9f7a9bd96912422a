"""The optimiser of instance optimisation beside that of PyTorch."""

import torch

from zoo.solvers.instance import Adam


def test_the_steps_are_those_of_torch_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(shape, generator=generator, requires_grad=True) for shape in ((5, 7), (3,))]
    theirs = [weight.detach().clone().requires_grad_() for weight in ours]
    unused = torch.ones(2, requires_grad=True)
    one, two = Adam([*ours, unused], 0.1), torch.optim.Adam(theirs, lr=0.1)
    for _ in range(25):
        for weights, optimiser in ((ours, one), (theirs, two)):
            optimiser.zero_grad()
            sum((weight - 0.5).pow(4).sum() for weight in weights).backward()
            optimiser.step()
    for weight, expected in zip(ours, theirs, strict=True):
        assert torch.equal(weight, expected)
    assert torch.equal(unused, torch.ones(2))
