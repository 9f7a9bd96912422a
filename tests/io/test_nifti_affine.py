import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from support.nifti_cases import nifti_bytes, write

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.nifti import nifti_grid, open_nifti
from zoo.io.nifti_affine import affine_and_errors, check_right_angles

VOXELS = np.zeros((7, 6, 5), np.int16)


def rotations(count):
    """Yield random rotations, half of them near 180 degrees, where quaternions lose precision."""
    rng = np.random.default_rng(1)
    for number in range(count):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        angle = np.pi - 10 ** rng.uniform(-7, -1)
        yield Rotation.from_rotvec(axis * (angle if number % 2 else rng.uniform(0, np.pi)))


def test_equal_sform_and_qform_are_accepted_for_any_rotation(tmp_path):
    shape = (300, 280, 200)
    image = nib.Nifti1Image(np.zeros((1, 1, 1), np.uint8), np.eye(4))
    differences = []
    for rotation in rotations(300):
        affine = np.eye(4)
        affine[:3, :3] = rotation.as_matrix() @ np.diag([0.8, 0.8, 1.5])
        affine[:3, 3] = [-120, 90, -60]
        header = image.header.copy()
        header.set_data_shape(shape)
        header.set_sform(affine, 1)
        header.set_qform(affine, 1)
        header["vox_offset"], header["magic"] = 352, b"n+1"
        path = tmp_path / "a.nii"
        with path.open("wb") as stream:
            stream.write(header.binaryblock)
            stream.truncate(352 + int(np.prod(shape)))
        assert nifti_grid(open_nifti(path)).same_as(Grid(shape, torch.from_numpy(affine)), 1e-3)
        differences.append(np.abs((header.get_sform() - header.get_qform())[:3, :3] @ shape).max())
    assert max(differences) > 0.05, "no quaternion was imprecise: the test proves nothing"


def test_sform_or_qform_alone_is_enough(tmp_path):
    affine = np.diag([-2.0, 2, 3, 1])
    affine[:3, 3] = [10, 20, 30]
    for forms in ("sform", "qform"):
        image = nib.Nifti1Image(VOXELS, affine)
        image.set_sform(affine if forms == "sform" else None, 1 if forms == "sform" else 0)
        image.set_qform(affine, 1 if forms == "qform" else 0)
        nib.save(image, tmp_path / "a.nii")
        grid = nifti_grid(open_nifti(tmp_path / "a.nii"))
        np.testing.assert_allclose(grid.affine, affine, atol=1e-6)


def test_qform_with_nan_is_refused(tmp_path):
    image = nib.Nifti1Image(VOXELS, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header["sform_code"], image.header["qform_code"] = 2, 1
    image.header["quatern_b"] = image.header["qoffset_x"] = np.nan
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(UserError, match="qform"):
        nifti_grid(open_nifti(tmp_path / "a.nii"))


@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("code", [-1, 6])
def test_an_unknown_code_of_a_form_is_refused(tmp_path, form, code):
    header = nib.Nifti1Image(VOXELS, np.eye(4)).header
    header[f"{form}_code"] = code
    header["vox_offset"], header["magic"] = 352, b"n+1"
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + VOXELS.tobytes())
    with pytest.raises(UserError, match=f"has the {form} code {code}; only 0 to 5 are allowed"):
        nifti_grid(open_nifti(tmp_path / "a.nii"))


@pytest.mark.parametrize("time", [0, 8, 16, 24], ids=["none", "s", "ms", "us"])
@pytest.mark.parametrize("length", [0, 1, 2, 3], ids=["none", "m", "mm", "um"])
def test_lengths_are_in_millimetres_whatever_the_unit_of_time(tmp_path, length, time):
    image = nib.Nifti1Image(VOXELS, np.eye(4))
    image.header["xyzt_units"] = length + time
    image.to_filename(tmp_path / "a.nii")
    if length in (0, 2):
        assert nifti_grid(open_nifti(tmp_path / "a.nii")).shape == VOXELS.shape
    else:
        name = {1: "metre", 3: "micron"}[length]
        with pytest.raises(UserError, match=f"says that its unit is {name}, which") as refusal:
            nifti_grid(open_nifti(tmp_path / "a.nii"))
        assert refusal.value.code == "unit"


def checked(path, shape=(7, 6, 5), **fields):
    """Return the affine and the codes of the errors of a file of 2 x 2.5 x 3 mm, and its errors."""
    given = {
        "pixdim": [1, 2, 2.5, 3, 0, 0, 0, 0], "sform_code": 1, "qform_code": 1,
        "srow_x": [2, 0, 0, 0], "srow_y": [0, 2.5, 0, 0], "srow_z": [0, 0, 3, 0],
    }  # fmt: skip
    content = nifti_bytes(np.zeros(shape, np.uint8), **given | fields)
    header = nib.Nifti1Header(content[:348], check=False)
    affine, errors = affine_and_errors(path, header, shape)
    return affine, [error.code for error in errors], " ".join(map(str, errors))


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({}, []),
        ({"sform_code": 0, "qform_code": 0}, ["forms-missing"]),
        ({"xyzt_units": 7, "sform_code": 6, "qform_code": -1}, ["unit", "form-code"]),
        ({"sform_code": 9, "qform_code": 0}, ["form-code"]),
        ({"qform_code": 9, "sform_code": 0}, ["form-code"]),
        ({"quatern_b": 2}, ["qform-broken"]),
        ({"quatern_b": 2, "sform_code": 0}, ["qform-broken"]),
        ({"quatern_b": 2, "xyzt_units": 3, "srow_x": [np.inf, 0, 0, 0]},
         ["unit", "qform-broken", "affine"]),
        ({"srow_x": [2, 2, 0, 0], "srow_y": [2, 2, 0, 0]}, ["affine"]),
        ({"srow_z": [0, 0, 0, 0]}, ["affine"]),
        ({"srow_x": [2, 0, 0.01, 0]}, ["sheared"]),
        ({"pixdim": [1, 2, 2.5, 2, 0, 0, 0, 0]}, ["spacing-differs", "forms-differ"]),
        ({"qoffset_y": 7}, ["forms-differ"]),
    ],
)  # fmt: skip
def test_all_reasons_to_refuse_a_header_are_returned(tmp_path, fields, codes):
    assert checked(tmp_path, **fields)[1] == codes


@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_the_codes_of_nifti_are_accepted(tmp_path, form, code):
    affine, codes, _ = checked(tmp_path, **{f"{form}_code": code})
    assert codes == []
    np.testing.assert_array_equal(affine, np.diag([2, 2.5, 3, 1]))


def test_the_sform_takes_precedence(tmp_path):
    affine, codes, message = checked(tmp_path, qoffset_x=4, qoffset_y=-3, srow_y=[0, 2.5, 0, 1.25])
    np.testing.assert_array_equal(
        affine, [[2, 0, 0, 0], [0, 2.5, 0, 1.25], [0, 0, 3, 0], [0, 0, 0, 1]]
    )
    assert codes == ["forms-differ"]
    assert f"disagree by {np.hypot(4, 4.25):.4g} mm (at most 0.001 is allowed)" in message
    assert "sform 2 0 0 0; 0 2.5 0 1.25; 0 0 3 0, qform 2 0 0 4; 0 2.5 0 -3; 0 0 3 0;" in message


@pytest.mark.parametrize(("qfac", "sign"), [(0, 1), (1, 1), (-1, -1)])
def test_a_qfac_of_zero_is_one(tmp_path, qfac, sign):
    pixdim = [qfac, 2, 2.5, 3, 0, 0, 0, 0]
    content = nifti_bytes(VOXELS, sform_code=0, qform_code=1, pixdim=pixdim, qoffset_z=9)
    file = open_nifti(write(tmp_path / "a.nii", content))
    expected = [[2, 0, 0, 0], [0, 2.5, 0, 0], [0, 0, 3 * sign, 9], [0, 0, 0, 1]]
    np.testing.assert_allclose(nifti_grid(file).affine, expected, atol=1e-6)
    assert float(file.header["pixdim"][0]) == qfac


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"quatern_b": 0.75, "quatern_c": -1, "quatern_d": 0.5}, r"\[0.75, -1.0, 0.5\], qfac 1\)"),
        ({"pixdim": [0.5, 2, 2.5, 3, 0, 0, 0, 0]}, r"\[0.0, 0.0, 0.0\], qfac 0.5\)"),
    ],
)
def test_a_qform_that_is_not_a_rotation_is_refused(tmp_path, fields, shown):
    affine, codes, message = checked(tmp_path, sform_code=0, **fields)
    assert affine is None
    assert codes == ["qform-broken"]
    with pytest.raises(UserError, match=rf"not a rotation \(quaternion {shown}"):
        raise UserError(message)


@pytest.mark.parametrize("spacing", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_spacing_that_is_not_positive_is_refused(tmp_path, axis, spacing):
    pixdim = [1, 2, 2.5, 3, 0, 0, 0, 0]
    pixdim[1 + axis] = spacing
    _, codes, message = checked(tmp_path, qform_code=0, pixdim=pixdim)
    assert codes == ["spacing-not-positive"]
    assert f"has the spacing (pixdim) {[float(v) for v in pixdim[1:4]]}" in message


@pytest.mark.parametrize(("count", "accepted"), [(9, True), (12, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_spacing_may_differ_by_a_micrometre_over_the_volume(tmp_path, count, accepted, sign):
    pixdim = [1, 2, 2.5 + sign * 1e-4, 3, 0, 0, 0, 0]
    _, codes, _ = checked(tmp_path, (4, count, 3), qform_code=0, pixdim=pixdim)
    assert codes == ([] if accepted else ["spacing-differs"])


@pytest.mark.parametrize("spacing", [(0.004, 0.005, 0.006), (1e-5, 2e-5, 3e-5), (400, 500, 600)])
def test_voxels_of_any_size_are_accepted(tmp_path, spacing):
    rows = {f"srow_{n}": row for n, row in zip("xyz", np.diag([*spacing, 1])[:3], strict=True)}
    assert checked(tmp_path, pixdim=[1, *spacing, 0, 0, 0, 0], **rows)[1] == []


@pytest.mark.parametrize("place", [(0, 1), (0, 2), (2, 1)])
@pytest.mark.parametrize("cosine", [0.9e-4, -0.9e-4, 1.1e-4, -1.1e-4, 0.5, -0.5])
def test_axes_are_at_right_angles_to_a_ten_thousandth(tmp_path, place, cosine):
    directions = np.eye(4)
    directions[place] = np.tan(np.arcsin(cosine))
    directions[:3, place[1]] /= np.linalg.norm(directions[:3, place[1]])
    affine = directions @ np.diag([2, 2.5, 3, 1])
    rows = {f"srow_{n}": row for n, row in zip("xyz", affine[:3], strict=True)}
    _, codes, message = checked(tmp_path, qform_code=0, **rows)
    if abs(cosine) < 1e-4:
        assert codes == []
        check_right_angles(tmp_path, affine)
    else:
        assert codes == ["sheared"]
        assert f"(the cosine between two axes is {abs(cosine):.2g}; at most 0.0001 is" in message
        with pytest.raises(UserError, match="its grid is sheared"):
            check_right_angles(tmp_path, affine)


@pytest.mark.parametrize("far", [True, False])
@pytest.mark.parametrize(
    ("count", "micrometres", "accepted"),
    [(21, 1.0, True), (21, 1.03, False), (101, 1.06, True), (101, 1.09, False)],
)
def test_the_forms_may_differ_by_a_micrometre_at_a_corner(
    tmp_path, far, count, micrometres, accepted
):
    """The qform is turned by a small angle about the first or the last voxel of a row.

    A quaternion in float32 adds a tolerance of 3.6e-7 times the reach of the volume, 2 (n - 1) mm.
    """
    reach = 2 * (count - 1)
    angle = micrometres * 1e-3 / reach
    more = {} if far else {"qoffset_y": -angle * reach}
    _, codes, message = checked(tmp_path, (count, 2, 2), quatern_d=angle / 2, **more)
    assert codes == ([] if accepted else ["forms-differ"])
    if not accepted:
        assert f"disagree by {micrometres * 1e-3:.3g}" in message


@pytest.mark.parametrize("shape", [(12,), (12, 10), (12, 10, 3, 2), (4, 3, 2, 1, 3)])
def test_missing_axes_have_one_voxel_and_further_axes_do_not_matter(tmp_path, shape):
    for pixdim in ([1, 2, 2.5, 3, 0, 0, 0, 0], [1, 2, 2.5, 3.0009, 7, 7, 7, 7]):
        assert checked(tmp_path, shape, qform_code=0, pixdim=pixdim)[1] == (
            [] if pixdim[3] == 3 or len(shape) < 3 else ["spacing-differs"]
        )
    assert nifti_grid(open_nifti(write(tmp_path / "a.nii", nifti_bytes(np.ones(shape, np.int16)))))
