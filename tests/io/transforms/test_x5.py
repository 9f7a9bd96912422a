"""X5 files, compared with nitransforms in both directions."""

import h5py
import nibabel as nib
import nitransforms as nt
import numpy as np
import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_field

from zoo import UserError
from zoo.geometry import Transform
from zoo.io.transforms import detect_format, read_transform, write_transform

CASES = ["RAS", "permuted PIR", "oblique anisotropic LAS"]


@pytest.mark.parametrize("name", CASES)
def test_affines_are_exchanged_with_nitransforms(tmp_path, name):
    grid = GRIDS[name]
    points = inner_points(grid, count=40)
    ours = Transform(AFFINE).map_points(points)
    write_transform(tmp_path / "a.x5", Transform(AFFINE), grid)
    assert detect_format(tmp_path / "a.x5") == "x5"
    theirs = nt.linear.load(tmp_path / "a.x5", fmt="X5")
    # nitransforms keeps matrices in single precision.
    assert max_distance(theirs.map(points.numpy()), ours) < 1e-5
    image = nib.Nifti1Image(np.zeros(grid.shape, np.uint8), grid.affine.numpy())
    nt.linear.Affine(AFFINE.numpy(), reference=image).to_filename(str(tmp_path / "b.x5"))
    assert max_distance(read_transform(tmp_path / "b.x5").map_points(points), ours) < 1e-5


@pytest.mark.parametrize("deltas", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_fields_are_exchanged_with_nitransforms(tmp_path, name, deltas):
    grid = GRIDS[name]
    transform = Transform(torch.eye(4), smooth_field(grid), grid)
    points = inner_points(grid, margin=5)
    ours = transform.map_points(points)
    write_transform(tmp_path / "a.x5", transform, grid)
    theirs = nt.nonlinear.DenseFieldTransform.from_filename(tmp_path / "a.x5", fmt="X5")
    # nitransforms interpolates with cubic splines.
    assert max_distance(theirs.map(points.numpy()), ours) < 1e-2
    values = transform.field.movedim(0, -1).numpy()
    if not deltas:
        index = torch.cartesian_prod(*[torch.arange(float(n)) for n in grid.shape])
        values = values + grid.to_world(index).view(*grid.shape, 3).numpy()
    reference = nib.Nifti1Image(np.zeros(grid.shape, np.uint8), grid.affine.numpy())
    dense = nt.nonlinear.DenseFieldTransform(values, is_deltas=deltas, reference=reference)
    nt.io.x5.to_filename(tmp_path / "b.x5", [dense.to_x5()])
    again = read_transform(tmp_path / "b.x5")
    assert again.grid.same_as(grid, 1e-6)
    assert max_distance(again.map_points(points), ours) < 1e-3


def change_type(store):
    store["TransformGroup/0"].attrs["Type"] = "composite"


def add_another(store):
    store.copy("TransformGroup/0", "TransformGroup/1")


def make_external(store):
    del store["TransformGroup/0/Transform"]
    store["TransformGroup/0/Transform"] = h5py.ExternalLink("other.h5", "/x")


def shrink_domain(store):
    store["TransformGroup/0/Domain/Size"][0] = 3


def remove_domain(store):
    del store["TransformGroup/0/Domain"]


def replace_size(*values, dtype):
    def change(store):
        del store["TransformGroup/0/Domain/Size"]
        store["TransformGroup/0/Domain/Size"] = np.array(values, dtype)

    return change


def remove_values(store):
    del store["TransformGroup/0/Transform"]


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (replace_size(3, 4, 5, dtype=np.float32), "not three whole numbers"),
        (replace_size(3, 4, dtype=np.int32), "not three whole numbers"),
        (replace_size(1 << 11, 1 << 10, 1 << 10, dtype=np.int64), "domain of 2048 x 1024 x 1024"),
        (remove_values, "a.x5"),
        (change_type, "type 'composite'"),
        (add_another, "2 transforms"),
        (make_external, "lead to another file"),
        (shrink_domain, "domain of"),
        (remove_domain, "without a domain"),
    ],
)
def test_what_is_not_one_transform_in_this_file_is_refused(tmp_path, change, pattern):
    grid = GRIDS["RAS"]
    path = tmp_path / "a.x5"
    write_transform(path, Transform(torch.eye(4), smooth_field(grid), grid), grid)
    with h5py.File(path, "r+") as store:
        change(store)
    with pytest.raises(UserError, match=pattern):
        read_transform(path)


def test_a_heap_on_which_the_hdf5_library_loops_is_refused(tmp_path):
    grid = GRIDS["RAS"]
    path = tmp_path / "a.x5"
    write_transform(path, Transform(AFFINE), grid)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # free space of no size
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.x5"):
        read_transform(path)
    with pytest.raises(UserError, match="its texts are damaged"):
        read_transform(path, format="x5")
