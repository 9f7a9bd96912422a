"""Displacements of other packages, in the units and the direction of this zoo."""

import numpy as np
import pytest
import torch
from benchmarks.harness.pairs import BenchPair
from benchmarks.harness.peer_methods import greedy
from scipy.spatial.transform import Rotation

from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair


@pytest.fixture
def moved(tmp_path) -> tuple[BenchPair, np.ndarray]:
    """Return one image on an oblique anisotropic grid, moved rigidly, and the true displacement."""
    phantom = make_pair(5, shape=(44, 40, 30), spacing=(3, 3.5, 4.5), tilt_degrees=20, axes="LPS")
    grid = phantom.fixed_grid
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (4, -6, 8), degrees=True).as_matrix()
    motion[:3, 3] = (7, -4, 10)
    moving_grid = grid.moved(torch.from_numpy(motion))
    pair = BenchPair("moved", tmp_path / "f.nii.gz", tmp_path / "m.nii.gz", modality=("t1", "t1"))
    write_volume(pair.fixed, phantom.fixed, grid)
    write_volume(pair.moving, phantom.fixed, moving_grid)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    points = grid.to_world(torch.from_numpy(index).reshape(-1, 3).double()).numpy()
    there = points @ motion[:3, :3].T + motion[:3, 3]
    return pair, (there - points).reshape(*grid.shape, 3)


def test_greedy_finds_a_rigid_motion_on_an_oblique_grid_in_mm(moved):
    pytest.importorskip("picsl_greedy")
    pair, truth = moved
    body = read_volume(pair.fixed).data.numpy() > 20
    field = greedy(pair)
    assert field.shape == truth.shape
    before = np.linalg.norm(truth, axis=-1)[body].mean()
    after = np.linalg.norm(field - truth, axis=-1)[body].mean()
    assert before > 10
    assert after < 0.1 * before
