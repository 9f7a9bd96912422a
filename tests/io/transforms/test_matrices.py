"""Matrices of FSL and in world coordinates, compared with nitransforms, a formula and greedy."""

import itertools

import nibabel as nib
import nitransforms as nt
import numpy as np
import pytest
import torch
from support.grid_cases import simple_itk_image
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Grid, Transform, warp
from zoo.io.transforms import read_transform, write_transform
from zoo.io.transforms.matrices import is_text_matrix

CASES = ["RAS", "LAS", "permuted PIR", "oblique RAS", "oblique anisotropic LAS"]
PAIRS = list(itertools.product(CASES, repeat=2))


def grids(fixed, moving):
    """Return two grids of unequal shapes."""
    return GRIDS[fixed], Grid((23, 15, 18), GRIDS[moving].affine)


def image(grid):
    return nib.Nifti1Image(np.zeros(grid.shape, np.uint8), grid.affine.numpy())


def by_flirt(matrix, fixed, moving, points):
    """Map points by the definition: FSL's mm coordinates of both images, voxel by voxel.

    flirt takes points of the moving image to the fixed image, so that the matrix is inverted.
    """
    ends = []
    for grid in (fixed, moving):
        affine = grid.affine.numpy()
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        ends.append((affine, sizes, np.linalg.det(affine) > 0, grid.shape[0]))
    (a, size_a, flip_a, n_a), (b, size_b, flip_b, n_b) = ends
    mapped = []
    for point in points.numpy():
        voxel = np.linalg.solve(a, [*point, 1])[:3]
        if flip_a:
            voxel[0] = n_a - 1 - voxel[0]
        there = np.linalg.solve(matrix, [*(voxel * size_a), 1])[:3] / size_b
        if flip_b:
            there[0] = n_b - 1 - there[0]
        mapped.append((b @ [*there, 1])[:3])
    return np.array(mapped)


@pytest.mark.parametrize(("fixed", "moving"), PAIRS)
def test_fsl_matrices_agree_with_the_definition_and_with_nitransforms(tmp_path, fixed, moving):
    a, b = grids(fixed, moving)
    transform, path = Transform(AFFINE), tmp_path / "flirt.mat"
    write_transform(path, transform, a, "fsl", moving=b)
    points = inner_points(a, count=40)
    ours = transform.map_points(points)
    assert max_distance(read_transform(path, a, b, "fsl").map_points(points), ours) < 1e-6
    assert max_distance(by_flirt(np.loadtxt(path), a, b, points), ours) < 1e-6
    theirs = nt.linear.load(path, fmt="fsl", reference=image(a), moving=image(b))
    assert max_distance(theirs.map(points.numpy()), ours) < 1e-4


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1)])
def test_voxels_of_less_than_a_cubic_millimetre_have_a_handedness_too(tmp_path, signs):
    affine = torch.diag(torch.tensor([0.5 * signs[0], 0.4, 0.3, 1], dtype=torch.float64))
    small, (_, b) = Grid((9, 8, 7), affine), grids("RAS", "LAS")
    write_transform(tmp_path / "flirt.mat", Transform(AFFINE), small, "fsl", moving=b)
    points = inner_points(small, count=10)
    ours = Transform(AFFINE).map_points(points)
    assert max_distance(by_flirt(np.loadtxt(tmp_path / "flirt.mat"), small, b, points), ours) < 1e-6


def test_the_identity_of_fsl_aligns_the_corners_of_the_images(tmp_path):
    """FSL puts the first voxel of two left-handed images at the same place."""
    a, b = grids("LAS", "oblique anisotropic LAS")
    np.savetxt(tmp_path / "eye.mat", np.eye(4))
    transform = read_transform(tmp_path / "eye.mat", a, b, "fsl")
    corner = transform.map_points(a.to_world(torch.zeros(1, 3)))
    assert max_distance(corner, b.to_world(torch.zeros(1, 3))) < 1e-9


def test_greedy_warps_as_the_written_world_matrix_says(tmp_path):
    a, b = grids("oblique anisotropic LAS", "permuted PIR")
    data = torch.rand(b.shape, generator=torch.Generator().manual_seed(0))
    transform = Transform(AFFINE)
    write_transform(tmp_path / "world.mat", transform, None, "world")
    greedy = pytest.importorskip("picsl_greedy").Greedy3D()
    greedy.execute(
        f"-d 3 -threads 1 -rf f -rm m {tmp_path / 'out.nii'} -r {tmp_path / 'world.mat'} -V 0",
        f=simple_itk_image(torch.zeros(a.shape), a),
        m=simple_itk_image(data, b),
    )
    theirs = torch.from_numpy(nib.load(tmp_path / "out.nii").get_fdata()).float()
    again = read_transform(tmp_path / "world.mat", format="world")
    ours = warp(data[None], b, a, again)[0]
    index = again.moving_index(a, b)[0]
    last = torch.tensor(b.shape).view(3, 1, 1, 1) - 1
    well_inside = ((index > 0) & (index < last)).all(dim=0)
    assert well_inside.float().mean() > 0.2
    assert (ours - theirs)[well_inside].abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["fsl", "world"])
def test_matrices_store_no_deformation(tmp_path, kind):
    a, b = grids("RAS", "LAS")
    with pytest.raises(UserError, match="stores an affine only"):
        write_transform(tmp_path / "a.mat", smooth_transform(a), a, kind, moving=b)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", True),
        ("\n1 0 0 0\n\n 0 1 0 0\n0\t0 1 0 \n0 0 0 1", True),
        ("1 0 0 0\n" * 5, False),
        ("1 0 0 0\n" * 3 + "1 0 0 0 0\n", False),
        ("1 0 0 0 0\n" + "1 0 0 0\n" * 3, False),
        ("1 0 0 0 1 0 0 0\n" * 2, False),
        ("1 0 0\n0 1 0\n0 0 1\n", False),
        ("one two three four\n" * 4, False),
        ("\N{GREEK SMALL LETTER PI} 0 0 0\n" * 4, False),
    ],
)
def test_four_rows_of_four_numbers_are_a_matrix(tmp_path, text, expected):
    (tmp_path / "file").write_text(text, encoding="utf-8")
    assert is_text_matrix(tmp_path / "file") is expected


def test_fsl_matrices_need_both_images(tmp_path):
    np.savetxt(tmp_path / "a.mat", np.eye(4))
    a, b = grids("RAS", "LAS")
    for fixed, moving in ((a, None), (None, b), (None, None)):
        with pytest.raises(UserError, match=r"cannot read .*a\.mat without its images"):
            read_transform(tmp_path / "a.mat", fixed, moving, "fsl")
        with pytest.raises(UserError, match=r"cannot write .*b\.mat without its images"):
            write_transform(tmp_path / "b.mat", Transform(AFFINE), fixed, "fsl", moving=moving)


def test_world_matrices_are_written_with_ten_digits_and_read_as_they_are(tmp_path):
    matrix = AFFINE.clone()
    matrix[0, 3] = 1 / 3
    write_transform(tmp_path / "a.txt", Transform(matrix), None, "world")
    assert (tmp_path / "a.txt").read_text().splitlines()[0].split()[3] == "0.3333333333"
    np.testing.assert_allclose(np.loadtxt(tmp_path / "a.txt"), matrix.numpy(), atol=1e-10)
    again = read_transform(tmp_path / "a.txt", format="world")
    np.testing.assert_array_equal(again.affine.numpy(), np.loadtxt(tmp_path / "a.txt"))


def test_a_matrix_of_4096_bytes_is_read(tmp_path):
    text = "1 0 0 2\n0 1 0 3\n0 0 1 4\n0 0 0 1\n"
    (tmp_path / "a.mat").write_text(text + " " * (4096 - len(text)))
    assert is_text_matrix(tmp_path / "a.mat")
    assert read_transform(tmp_path / "a.mat", format="world").affine[:3, 3].tolist() == [2, 3, 4]
    (tmp_path / "a.mat").write_text(text + " " * (4097 - len(text)))
    with pytest.raises(UserError, match="4097 bytes; at most 4096"):
        read_transform(tmp_path / "a.mat", format="world")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n", r"a\.mat is not a matrix .*\(it has 3 rows"),
        ("1 0 0 0\n" * 5, r"it has 5 rows"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 x\n0 0 0 1\n", "four rows"),
        ("1 0 0 1_0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "four rows"),
        ("1 0 0 0\n0 1 0 0\n0 0 0 0\n0 0 0 1\n", "not an affine transform that can be inverted"),
        ("1 0 0 nan\n0 1 0 0\n0 0 1 0\n0 0 0 1\n", "not an affine transform"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1\n", "not an affine transform"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 -1 1\n", "not an affine transform"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 0.5\n", "not an affine transform"),
        ("1 0 0 0\n0 1 0 0\n0 0 1 inf\n0 0 0 1\n", "not an affine transform"),
        ("1 " * 5000, "10000 bytes; at most 4096 are allowed: give one matrix"),
    ],
)
def test_damaged_matrices_are_refused(tmp_path, text, pattern):
    (tmp_path / "a.mat").write_text(text)
    with pytest.raises(UserError, match=pattern):
        read_transform(tmp_path / "a.mat", format="world")
