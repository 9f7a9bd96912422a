"""X5 files, compared with nitransforms in both directions."""

import h5py
import nibabel as nib
import nitransforms as nt
import numpy as np
import pytest
import torch
from support.io_cases import AFFINE, GRIDS, inner_points, max_distance, smooth_field

from zoo import UserError
from zoo.geometry import Grid, Transform
from zoo.io.transforms import detect_format, read_transform, write_transform
from zoo.io.transforms.x5 import is_x5

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


def test_affines_are_written_as_the_format_says(tmp_path):
    grid = GRIDS["permuted PIR"]
    write_transform(tmp_path / "a.x5", Transform(AFFINE), grid)
    with h5py.File(tmp_path / "a.x5") as store:
        assert (store.attrs["Format"], store.attrs["Version"]) == ("X5", 1)
        assert list(store["TransformGroup"]) == ["0"]
        group = store["TransformGroup/0"]
        assert (group.attrs["Type"], group.attrs["SubType"]) == ("linear", "affine")
        assert (group.attrs["Representation"], group.attrs["ArrayLength"]) == ("matrix", 1)
        assert group["DimensionKinds"][()].tolist() == [b"space", b"space", b"space", b"vector"]
        np.testing.assert_array_equal(group["Transform"][()], AFFINE.numpy())
        domain = group["Domain"]
        assert (domain.attrs["Coordinates"], domain["Grid"][()]) == ("cartesian", 1)
        assert domain["Size"][()].tolist() == list(grid.shape)
        np.testing.assert_array_equal(domain["Mapping"][()], grid.affine.numpy())
    write_transform(tmp_path / "b.x5", Transform(AFFINE), None)
    with h5py.File(tmp_path / "b.x5") as store:
        assert "Domain" not in store["TransformGroup/0"]


def test_fields_are_written_compressed_on_the_given_grid(tmp_path):
    grid, other = GRIDS["RAS"], Grid((6, 7, 8), GRIDS["RAS"].affine)
    transform = Transform(torch.eye(4), smooth_field(grid), grid)
    for given, expected in ((None, grid), (other, other)):
        write_transform(tmp_path / "a.x5", transform, given)
        with h5py.File(tmp_path / "a.x5") as store:
            group = store["TransformGroup/0"]
            kind = tuple(group.attrs[name] for name in ("Type", "SubType", "Representation"))
            assert kind == ("nonlinear", "densefield", "displacements")
            values = group["Transform"]
            assert (values.compression, values.compression_opts) == ("gzip", 1)
            assert values.shuffle
            # The grids have the same first voxel and the same spacing.
            part = tuple(map(slice, expected.shape))
            field = np.moveaxis(transform.field.numpy(), 0, -1)[part]
            np.testing.assert_allclose(values[()], field, atol=1e-5)
            assert group["Domain/Size"][()].tolist() == list(expected.shape)


@pytest.mark.parametrize("format", ["X4", "X6", ""])
def test_only_the_format_x5_is_x5(tmp_path, format):
    write_transform(tmp_path / "a.x5", Transform(AFFINE), None)
    assert is_x5(tmp_path / "a.x5") is True
    with h5py.File(tmp_path / "a.x5", "r+") as store:
        store.attrs["Format"] = format
    assert is_x5(tmp_path / "a.x5") is False
    with h5py.File(tmp_path / "a.x5", "r+") as store:
        del store.attrs["Format"]
    assert is_x5(tmp_path / "a.x5") is False


@pytest.mark.parametrize("length", [100, 3000])
def test_a_truncated_file_is_not_x5(tmp_path, length):
    write_transform(tmp_path / "a.x5", Transform(AFFINE), None)
    content = (tmp_path / "a.x5").read_bytes()
    assert len(content) > length
    (tmp_path / "b.x5").write_bytes(content[:length])
    assert is_x5(tmp_path / "b.x5") is False
    with pytest.raises(UserError, match=r"b\.x5 is truncated or damaged"):
        read_transform(tmp_path / "b.x5", format="x5")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, ">i4"])
@pytest.mark.parametrize("values", ["f4", ">f8"])
def test_sizes_of_all_whole_numbers_and_fields_of_both_precisions_are_read(tmp_path, dtype, values):
    grid = Grid((3, 4, 5), GRIDS["permuted PIR"].affine)
    field = smooth_field(grid)
    write_transform(tmp_path / "a.x5", Transform(torch.eye(4), field, grid), grid)
    with h5py.File(tmp_path / "a.x5", "r+") as store:
        replace_size(3, 4, 5, dtype=dtype)(store)
        group = store["TransformGroup/0"]
        del group["Transform"], group.attrs["ArrayLength"]
        group["Transform"] = np.moveaxis(field.numpy(), 0, -1).astype(values)
    again = read_transform(tmp_path / "a.x5")
    assert torch.equal(again.field, field)
    assert again.grid.same_as(grid, 1e-9)


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


def set_attribute(name, value):
    def change(store):
        store["TransformGroup/0"].attrs[name] = value

    return change


def remove_group(store):
    del store["TransformGroup"]


def rename_group(store):
    store.move("TransformGroup/0", "TransformGroup/1")


def store_elsewhere(name, dtype):
    """Keep the numbers in another file, which HDF5 reads without a link."""

    def change(store):
        group, shape = store["TransformGroup/0"], store[f"TransformGroup/0/{name}"].shape
        del group[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        group.create_dataset(name, shape, dtype, external=[("other", 0, size)])

    return change


def make_singular(store):
    store["TransformGroup/0/Domain/Mapping"][2] = 0


def lengthen_mapping(store):
    del store["TransformGroup/0/Domain/Mapping"]
    store["TransformGroup/0/Domain/Mapping"] = np.arange(17.0)


def spoil_a_voxel(store):
    store["TransformGroup/0/Transform"][4, 5, 6, 1] = np.nan


LETTERS = "abcdefghijklmnopqrstuvwxyz" * 2


@pytest.mark.parametrize(
    ("change", "pattern"),
    [
        (set_attribute("Type", "zzz"), "type 'zzz', 'displacements'; allowed"),
        (set_attribute("Type", 7), "type '', 'displacements'; allowed"),
        (set_attribute("Representation", "splines"), "type 'nonlinear', 'splines'; allowed"),
        (set_attribute("Representation", "bsplines"), "type 'nonlinear', 'bsplines'; allowed"),
        (set_attribute("Type", LETTERS), f"type '{LETTERS[:40]}', 'displ"),
        (set_attribute("Representation", LETTERS), f"'nonlinear', '{LETTERS[:40]}'; allowed"),
        (set_attribute("ArrayLength", 2), "1 transforms or a series"),
        (set_attribute("ArrayLength", 0), "1 transforms or a series"),
        (store_elsewhere("Transform", "f4"), "Transform is stored in another file"),
        (store_elsewhere("Domain/Size", "i4"), "Size is stored in another file"),
        (store_elsewhere("Domain/Mapping", "f8"), "Mapping is stored in another file"),
        (remove_group, "has 0 transforms"),
        (rename_group, "1 transforms or a series"),
        (make_singular, r"damaged \(the affine of a grid must be invertible, not \[\["),
        (lengthen_mapping, "17 numbers; at most 16 are"),
        (spoil_a_voxel, r"a\.x5"),
        (replace_size(3, 4, 5, 6, dtype=np.int32), "not three whole numbers"),
        (replace_size(21, 17, 14, dtype=np.int32), r"on a domain of \(21, 17, 14\) voxels"),
        (replace_size(2048, 1024, 512, dtype=np.int32), r"domain of \(2048, 1024, 512\) voxels"),
        (replace_size(2049, 1024, 512, dtype=np.int32), "a domain of 2049 x 1024 x 512 voxels"),
        (replace_size(-20, 17, 14, dtype=np.int32), r"voxel, not \(-20, 17, 14\)\); copy"),
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
    assert is_x5(path) is False
    with pytest.raises(UserError, match=r"a\.x5"):
        read_transform(path)
    with pytest.raises(UserError, match="its texts are damaged"):
        read_transform(path, format="x5")


def test_long_reasons_are_quoted_in_part(tmp_path):
    grid = GRIDS["oblique RAS"]
    path = tmp_path / "a.x5"
    write_transform(path, Transform(torch.eye(4), smooth_field(grid), grid), grid)
    with h5py.File(path, "r+") as store:
        make_singular(store)
        matrix = store["TransformGroup/0/Domain/Mapping"][()].tolist()
    reason = f"the affine of a grid must be invertible, not {matrix}"
    with pytest.raises(UserError) as caught:
        read_transform(path)
    assert f"{path} is truncated or damaged ({reason[:200]}); copy" in str(caught.value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((3, 3), 2),
        ((3, 3), 0.5),
        ((3, 2), 1),
        ((3, 0), -1),
        ((0, 3), np.nan),
        ((2, 3), np.inf),
        ((2, slice(0, 3)), 0),
    ],
)
def test_a_matrix_that_is_not_affine_is_refused(tmp_path, place, value):
    path = tmp_path / "a.x5"
    write_transform(path, Transform(AFFINE), None)
    with h5py.File(path, "r+") as store:
        store["TransformGroup/0/Transform"][place] = value
    with pytest.raises(UserError, match=r"a\.x5: \[\[.* is not an affine transform"):
        read_transform(path)


@pytest.mark.parametrize(("count", "pattern"), [(15, "15"), (17, "17 numbers; at most 16 are")])
def test_a_matrix_of_another_number_of_values_is_refused(tmp_path, count, pattern):
    path = tmp_path / "a.x5"
    write_transform(path, Transform(AFFINE), None)
    with h5py.File(path, "r+") as store:
        remove_values(store)
        store["TransformGroup/0/Transform"] = np.arange(float(count))
    with pytest.raises(UserError, match=rf"a\.x5 is truncated or damaged \(.*{pattern}"):
        read_transform(path)
