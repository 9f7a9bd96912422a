import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.nifti import nifti_grid, open_nifti

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
        with pytest.raises(UserError, match="says that its unit is"):
            nifti_grid(open_nifti(tmp_path / "a.nii"))
