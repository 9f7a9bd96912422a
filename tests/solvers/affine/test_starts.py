import torch

from zoo.geometry.grid import Grid
from zoo.measures.body import find_body
from zoo.solvers.affine.objective import AffineObjective
from zoo.solvers.affine.starts import SHIFTED_STARTS, rigid_starts, shifted_starts
from zoo.synthesis.phantom import make_pair


def cut_objective(first):
    """Return the objective of a phantom and its slices from `first` on, and the true shift, mm."""
    pair = make_pair(2, shape=(40, 40, 56), spacing=(4, 4, 4), noise=False)
    change = torch.eye(4, dtype=torch.float64)
    change[2, 3] = first
    part = Grid((40, 40, 56 - first), pair.moving_grid.affine @ change)
    shift = torch.tensor([9.0, -14.0, 60.0], dtype=torch.float64)
    moved = torch.eye(4, dtype=torch.float64)
    moved[:3, 3] = shift
    whole = find_body(pair.moving, pair.moving_grid, 4, "fixed").at(8)
    half = find_body(pair.moving[:, :, first:], part.moved(moved), 4, "moving").at(8)
    return AffineObjective(whole, half, 3000, is_cut=True), shift


def test_a_shifted_start_is_near_the_true_shift_of_a_part():
    objective, truth = cut_objective(30)
    starts = shifted_starts(objective)
    assert len(starts) == SHIFTED_STARTS
    shifts = [objective.matrix(start)[:3, 3] for start in starts]
    assert min(float((shift - truth).norm()) for shift in shifts) < 20
    com = objective.matrix(torch.zeros(3, dtype=torch.float64))[:3, 3]
    assert float((com - truth).norm()) > 35


def test_shifts_are_tried_only_if_a_body_is_cut():
    objective, _ = cut_objective(30)
    with_shifts = len(rigid_starts(objective))
    objective.is_cut = False
    assert with_shifts - len(rigid_starts(objective)) == SHIFTED_STARTS


def test_equal_shifts_are_tried_once():
    """On one grid, the headers and the fields of view propose the same shift."""
    pair = make_pair(2, shape=(40, 40, 56), spacing=(4, 4, 4), noise=False)
    fixed = find_body(pair.fixed, pair.fixed_grid, 4, "fixed").at(8)
    moving = find_body(pair.fixed.roll(5, 0), pair.fixed_grid, 4, "moving").at(8)
    starts = rigid_starts(AffineObjective(fixed, moving, 3000))
    assert sum(not start[3:].any() for start in starts) == 2
    distances = [float((a - b).norm()) for k, a in enumerate(starts) for b in starts[:k]]
    assert min(distances) > 4
