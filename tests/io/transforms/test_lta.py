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
from zoo.io.transforms.lta import is_lta, read_lta

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


ROWS = "".join(f"\n{row}" for row in ("1 0 0 0", "0 1 0 0", "0 0 1 0", "0 0 0 1"))


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
        ("volume = 23 15 18", "volume = 23.7 15 18", "'23.7 15 18' of its src volume must be 3"),
        ("sigma     = 1.0000", "sigma     = 1.0000\nsigma     = 1.0000", "twice"),
        ("fscale 0.150000", "0.15 <script>", "not part of an .lta"),
        ("nxforms   = 1", "nxforms   = 0", "has 0 transforms; only one is allowed"),
        ("nxforms   = 1", f"nxforms   = {'1234567' * 4}", "has 12345671234567123456 transforms"),
        ("type      = 0", f"type      = {'1234567' * 4}", "'12345671234567123456'; allowed"),
        ("type      = 0", "type      = 1x", "type '1x'; allowed are 0"),
        ("src volume info\nvalid = 1", "src volume info\nvalid = 2", "describe its src volume"),
        ("dst volume info\nvalid = 1", "dst volume info\nvalid = 0", "describe its dst volume"),
        ("src volume info\nvalid = 1", "src volume info\n", "describe its src volume"),
        ("dst volume info", "src volume info", "has 'valid' twice"),
        ("1 4 4", "", "is not part of an .lta"),
        ("src volume", f"1 4 4{ROWS}\nsrc volume", "'1 4 4' is not part of an .lta"),
        ("fscale 0.150000", f"{'0123456789' * 5}", f"'{'0123456789' * 4}' is not part of"),
        ("sigma     = 1.0000", f"{'s' * 50} = 1\n{'s' * 50} = 1", f"has '{'s' * 40}' twice"),
        ("cras ", "cr_s ", "has no cras of its dst volume|has no cras of its src volume"),
        ("volume = 23 15 18", "volume = 23 15", "'23 15' must be 3 numbers"),
        ("volume = 23 15 18", "volume = 23 15 18 1", "'23 15 18 1' must be 3 numbers"),
        ("volume = 23 15 18", "volume = 23 15-18 1", "'23 15-18 1' must be 3 numbers"),
        ("volume = 23 15 18", "volume = 23 15 1e999", "'23 15 1e999' must be 3 numbers"),
        ("volume = 23 15 18", f"volume = {'1234567 ' * 9}", f"'{('1234567 ' * 8)[:60]}' must be 3"),
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
    for one, two in ((fixed, None), (None, moving), (None, None)):
        with pytest.raises(UserError, match="without the geometry"):
            write_transform(tmp_path / "a.lta", Transform(torch.eye(4)), one, moving=two)
    assert not list(tmp_path.iterdir())


RAS_FILE = f"type = 1\n1 4 4{ROWS}\n"


def ras_file(tmp_path, *rows):
    """Write a file between RAS coordinates that has nothing but its matrix."""
    (tmp_path / "a.lta").write_text("\n".join(["type = 1", "1 4 4", *rows, ""]))
    return tmp_path / "a.lta"


def test_a_file_between_ras_coordinates_needs_no_volumes(tmp_path):
    """The file maps the moving to the fixed image: x + 2e6, 2 y - 6, z / 4 + 1."""
    path = ras_file(tmp_path, "1 0 0 2e6", "0 2 0 -6", "0 0 .25 1 # a comment", "0 0 0 1")
    expected = [[1, 0, 0, -2e6], [0, 0.5, 0, 3], [0, 0, 4, -4], [0, 0, 0, 1]]
    assert read_transform(path).affine.tolist() == expected


@pytest.mark.parametrize(
    ("number", "row"),
    [
        (3, "0 0 0 2"),
        (3, "0 0 0 0.5"),
        (3, "0 0 1 1"),
        (3, "0 0 -1 1"),
        (0, "0 0 0 0"),
        (1, "2 0 0 5"),
        (2, "0 0 0 1"),
        (2, "1 1 0 1"),
    ],
)
def test_a_matrix_that_cannot_be_inverted_is_refused(tmp_path, number, row):
    rows = ["1 0 0 4", "0 1 0 -3", "0 0 1 2", "0 0 0 1"]
    rows[number] = row
    with pytest.raises(UserError, match=r"a\.lta: the matrix \[.* is not an affine transform"):
        read_transform(ras_file(tmp_path, *rows))


@pytest.mark.parametrize("rows", [0, 3])
def test_a_file_that_ends_within_its_matrix_is_refused(tmp_path, rows):
    with pytest.raises(UserError, match="'' must be 4 numbers"):
        read_transform(ras_file(tmp_path, *["1 0 0 0", "0 1 0 0", "0 0 1 0"][:rows]))


def test_a_file_without_a_matrix_is_refused(tmp_path):
    (tmp_path / "a.lta").write_text("type = 1\n")
    with pytest.raises(UserError, match=r"a\.lta has no matrix \(1 4 4\)"):
        read_transform(tmp_path / "a.lta")


def test_the_first_of_several_missing_keys_is_named(tmp_path):
    fixed, moving = grids(PAIRS[0])
    lines = lta_text(14, np.eye(4), mgh(moving), mgh(fixed)).splitlines()
    kept = [line for line in lines if not line.startswith(("voxelsize", "yras", "cras"))]
    (tmp_path / "a.lta").write_text("\n".join(kept))
    with pytest.raises(UserError, match=r"a\.lta has no voxelsize of its src volume"):
        read_transform(tmp_path / "a.lta")


@pytest.mark.parametrize(("length", "found"), [(2000, True), (2001, False)])
def test_the_type_is_looked_for_in_the_first_2000_bytes(tmp_path, length, found):
    comment = f"# {'x' * (length - len('# ') - len('type = 1') - 1)}\n"
    (tmp_path / "a.lta").write_text(comment + RAS_FILE)
    assert is_lta(tmp_path / "a.lta") is found
    assert torch.equal(read_lta(tmp_path / "a.lta").affine, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("type=14\n", True),
        ("\n \n# a\n#b\n type\t= 0", True),
        ("# type = 1\n", False),
        ("type = x\n", False),
        ("nxforms = 1\ntype = 1\n", False),
    ],
)
def test_a_file_of_freesurfer_begins_with_comments_and_its_type(tmp_path, text, found):
    (tmp_path / "a.lta").write_text(text)
    assert is_lta(tmp_path / "a.lta") is found


def test_large_files_and_other_encodings_are_refused(tmp_path):
    (tmp_path / "a.lta").write_text(RAS_FILE + "#" * (65536 - len(RAS_FILE)))
    assert torch.equal(read_lta(tmp_path / "a.lta").affine, torch.eye(4, dtype=torch.float64))
    (tmp_path / "a.lta").write_text(RAS_FILE + "#" * (65537 - len(RAS_FILE)))
    with pytest.raises(UserError, match="65537 bytes; at most 65536 are allowed: give a file of"):
        read_lta(tmp_path / "a.lta")
    (tmp_path / "a.lta").write_bytes(RAS_FILE.encode() + b"# Gr\xf6\xdfe")
    with pytest.raises(UserError, match=r"a\.lta is not text in UTF-8"):
        read_lta(tmp_path / "a.lta")
