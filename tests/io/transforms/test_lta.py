"""Transforms of FreeSurfer, compared with nitransforms and with the geometry of nibabel's MGH."""

import nibabel as nib
import nitransforms as nt
import numpy as np
import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_transform

from zoo import UserError
from zoo.geometry import Grid, Transform
from zoo.io.transforms import detect_format, read_transform, write_transform

PAIRS = [
    ("RAS", "LAS"),
    ("permuted PIR", "oblique anisotropic LAS"),
    ("oblique RAS", "slightly oblique LPS"),
    ("oblique anisotropic LAS", "anisotropic RAS"),
]


def mgh(grid):
    """Return an image of FreeSurfer on a grid; nibabel computes its matrices independently."""
    return nib.MGHImage(np.zeros(grid.shape, np.uint8), grid.affine.numpy())


def grids(names):
    return GRIDS[names[0]], Grid((23, 15, 18), GRIDS[names[1]].affine)


def lta_text(kind, matrix, source, destination):
    """Return an .lta in the layout of FreeSurfer, with the geometry in the headers of nibabel."""
    lines = ["# transform file /x/a.lta", "# created by x on Mon Jan  1 00:00:00 2024", ""]
    lines += [f"type      = {kind} # a type", "nxforms   = 1"]
    lines += ["mean      = 0.0000 0.0000 0.0000", "sigma     = 1.0000", "1 4 4"]
    lines += [" ".join(f"{v:.15e}" for v in row) + " " for row in matrix]
    for name, image in (("src", source), ("dst", destination)):
        header = image.header
        lines += [f"{name} volume info", "valid = 1  # volume info valid", "filename = /x/a.mgz"]
        lines += [f"volume = {' '.join(map(str, header['dims'][:3]))}"]
        lines += [f"voxelsize = {' '.join(f'{v:.15e}' for v in header['delta'])}"]
        for k, axis in enumerate("xyz"):
            cosines = header["Mdc"][k]
            lines += [f"{axis}ras   = {' '.join(f'{v:.15e}' for v in cosines)}"]
        lines += [f"cras   = {' '.join(f'{v:.15e}' for v in header['Pxyz_c'])}"]
    return "\n".join([*lines, "subject bert", "fscale 0.150000", ""])


@pytest.mark.parametrize("pair", PAIRS)
def test_voxel_ras_and_tkregister_matrices_are_the_same_map(tmp_path, pair):
    fixed, moving = grids(pair)
    source, destination = mgh(moving), mgh(fixed)
    forward = np.linalg.inv(AFFINE.numpy())  # from the moving to the fixed image
    native_s, native_d = source.affine, destination.affine
    tk_s = source.header.get_vox2ras_tkr()
    tk_d = destination.header.get_vox2ras_tkr()
    matrices = {
        0: np.linalg.inv(native_d) @ forward @ native_s,
        1: forward,
        14: tk_s @ np.linalg.inv(native_s) @ AFFINE.numpy() @ native_d @ np.linalg.inv(tk_d),
    }
    points = inner_points(fixed, count=40)
    expected = Transform(AFFINE).map_points(points)
    for kind, matrix in matrices.items():
        path = tmp_path / f"{kind}.lta"
        path.write_text(lta_text(kind, matrix, source, destination))
        assert detect_format(path) == "lta"
        # The headers of nibabel have single precision.
        assert max_distance(read_transform(path).map_points(points), expected) < 1e-3
        if kind < 2:
            theirs = nt.linear.load(path, fmt="fs").map(points.numpy())
            assert max_distance(theirs, expected) < 1e-3


@pytest.mark.parametrize("pair", PAIRS)
def test_written_files_are_read_by_nitransforms_with_the_geometry_of_freesurfer(tmp_path, pair):
    fixed, moving = grids(pair)
    transform, path = Transform(AFFINE), tmp_path / "a.lta"
    write_transform(path, transform, fixed, moving=moving)
    points = inner_points(fixed, count=40)
    ours = transform.map_points(points)
    assert max_distance(read_transform(path).map_points(points), ours) < 1e-9
    assert max_distance(nt.linear.load(path, fmt="fs").map(points.numpy()), ours) < 1e-3
    read = nt.io.lta.FSLinearTransform.from_string(path.read_text())
    for name, grid in (("src", moving), ("dst", fixed)):
        np.testing.assert_allclose(read[name].as_affine(), grid.affine.numpy(), atol=1e-4)
        np.testing.assert_allclose(read[name]["cras"], mgh(grid).header["Pxyz_c"], atol=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "pattern"),
    [
        ("type      = 0", "type      = 21", "type '21'; allowed are 0"),
        ("type      = 0", "type      = 2", "type '2'; allowed are 0"),
        ("nxforms   = 1", "nxforms   = 2", "only one is allowed"),
        ("src volume info\nvalid = 1", "src volume info\nvalid = 0", "describe its src volume"),
        ("1 4 4", "1 4 5", "not part of an .lta|has no matrix"),
        ("volume = 23 15 18", "volume = 23 15 nan", "must be 3 numbers"),
        ("volume = 23 15 18", "volume = 23 15 0", "at least one voxel"),
        ("sigma     = 1.0000", "sigma     = 1.0000\nsigma     = 1.0000", "twice"),
        ("fscale 0.150000", "0.15 <script>", "not part of an .lta"),
    ],
)
def test_what_cannot_be_interpreted_is_refused(tmp_path, old, new, pattern):
    fixed, moving = grids(PAIRS[0])
    text = lta_text(0, np.eye(4), mgh(moving), mgh(fixed))
    assert old in text
    (tmp_path / "a.lta").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=pattern):
        read_transform(tmp_path / "a.lta")


def test_a_deformation_or_missing_images_are_refused(tmp_path):
    fixed, moving = grids(PAIRS[0])
    with pytest.raises(UserError, match="stores an affine only"):
        write_transform(tmp_path / "a.lta", smooth_transform(fixed), fixed, moving=moving)
    with pytest.raises(UserError, match="without the geometry"):
        write_transform(tmp_path / "a.lta", Transform(torch.eye(4)), fixed)
    assert not list(tmp_path.iterdir())
