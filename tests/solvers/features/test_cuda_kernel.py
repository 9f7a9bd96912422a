"""The Triton kernel: on a GPU or interpreted on the CPU, and compiled for absent GPUs."""

import logging
import os
import subprocess
import sys

import pytest
import torch

from zoo.geometry.sampling import identity_index
from zoo.solvers.features import compare_features_with_torch

kernels = pytest.importorskip("zoo.solvers.features.cuda_kernel", reason="Triton is not installed")

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SHAPE, MOVING_SHAPE = (11, 14, 9), (8, 12, 10)


def noise(*shape, seed):
    return torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def positions(reach):
    """Positions up to `reach` voxels from those of a grid, many of them outside the moving one."""
    return identity_index(SHAPE, device=DEVICE) + reach * (2 * noise(3, *SHAPE, seed=3) - 1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reach", [0.7, 6.0])
def test_cuda_kernel_gives_what_torch_does(reach, weighted):
    """Two channels of four, and every second voxel of the fixed features, as in a refinement."""
    fixed = noise(4, *(2 * n for n in SHAPE), seed=1).half()[:, 1::2, 1::2, ::2, ::2]
    moving = noise(4, *MOVING_SHAPE, seed=2)[:, 1::2]
    weights = (noise(1, *SHAPE, seed=4), noise(1, *MOVING_SHAPE, seed=5)) if weighted else None
    index = positions(reach)
    gradient, loss = kernels.compare_on_device(fixed, moving, index, weights)
    expected, expected_loss = compare_features_with_torch(fixed, moving, index, weights=weights)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-4, atol=1e-6)


def test_a_position_on_the_border_has_no_derivative_across_it():
    fixed, moving = noise(3, *SHAPE, seed=1), noise(3, *SHAPE, seed=2)
    gradient, _ = kernels.compare_on_device(fixed, moving, identity_index(SHAPE, device=DEVICE))
    for axis in range(3):
        for end in (0, -1):
            assert (gradient[0, axis].select(axis, end) == 0).all()
        inner = gradient[0, axis].narrow(axis, 1, SHAPE[axis] - 2)
        assert (inner != 0).float().mean() > 0.99


def test_a_position_that_is_not_a_number_stays_inside_the_arrays():
    fixed, moving = noise(3, *SHAPE, seed=1), noise(3, *SHAPE, seed=2)
    index = positions(0.7)
    index[:, :, 4] = float("nan")
    index[:, 0, 5] = float("inf")
    gradient, _ = kernels.compare_on_device(fixed, moving, index)
    assert torch.isfinite(gradient).all()


def test_a_kernel_that_gives_other_numbers_is_not_used(monkeypatch, caplog):
    assert kernels.works_on(DEVICE)
    right = kernels.compare_on_device

    def wrong(*arguments):
        gradient, loss = right(*arguments)
        return gradient.flip(1), loss

    for spoiled in (wrong, lambda *arguments: 1 / 0):
        kernels.works_on.cache_clear()
        monkeypatch.setattr(kernels, "compare_on_device", spoiled)
        with caplog.at_level(logging.WARNING):
            assert not kernels.works_on(DEVICE)
        assert "features are compared without Triton" in caplog.text
        caplog.clear()
    kernels.works_on.cache_clear()


COMPILATION = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from zoo.solvers.features.cuda_kernel import BLOCK, compare_cells

types = dict.fromkeys(compare_cells.arg_names, "i32")
types |= dict.fromkeys(["moving", "fixed", "index", "weight", "gradient", "sums"], "*fp32")
types |= {"fixed": "*fp16", "scale": "fp32", "weighted": "constexpr", "block": "constexpr"}
for capability in (75, 80, 90):
    source = ASTSource(compare_cells, types, {"weighted": True, "block": BLOCK})
    program = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert f"sm_{capability}" in program.asm["ptx"], capability
    assert len(program.asm["cubin"]) > 1000, capability
"""


@pytest.mark.slow
def test_the_kernel_compiles_for_gpus_from_turing_to_hopper(tmp_path):
    more = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    environment = os.environ | more
    command = [sys.executable, "-W", "ignore", "-c", COMPILATION]
    subprocess.run(command, env=environment, check=True)
