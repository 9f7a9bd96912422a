import h5py
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS, inner_points, max_distance, smooth_transform

from zoo.geometry import Grid, Transform
from zoo.io.itk.hdf5 import read_itk_hdf5, write_itk_hdf5

GRID = GRIDS["oblique anisotropic LAS"]


def test_file_has_the_structure_that_simpleitk_writes(tmp_path):
    ours, theirs = tmp_path / "ours.h5", tmp_path / "theirs.h5"
    write_itk_hdf5(ours, smooth_transform(GRID))
    sitk.WriteTransform(sitk.ReadTransform(str(ours)), str(theirs))

    def structure(path):
        shapes = {}
        with h5py.File(path) as store:
            store.visititems(lambda name, item: shapes.update({name: getattr(item, "shape", None)}))
            for number in "012":
                key = f"TransformGroup/{number}/TransformType"
                shapes[key] = store[key][0]
        return shapes

    assert structure(ours) == structure(theirs)


def test_affine_and_field_are_stored_separately(tmp_path):
    transform = smooth_transform(GRID)
    write_itk_hdf5(tmp_path / "a.h5", transform)
    again = read_itk_hdf5(tmp_path / "a.h5")
    torch.testing.assert_close(again.affine, transform.affine)
    assert torch.equal(again.field, transform.field)
    assert again.grid.same_as(GRID, 1e-9)


def test_field_can_be_written_on_another_grid(tmp_path):
    transform = smooth_transform(GRID)
    other = Grid((9, 11, 8), GRIDS["slightly oblique LPS"].affine)
    write_itk_hdf5(tmp_path / "a.h5", transform, other)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert again.grid.same_as(other, 1e-9)
    index = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in other.shape])
    points = other.to_world(index)
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3


def test_affine_alone_is_stored_without_a_field(tmp_path):
    transform = Transform(smooth_transform(GRID).affine)
    write_itk_hdf5(tmp_path / "a.h5", transform, GRID)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert again.field is None
    torch.testing.assert_close(again.affine, transform.affine)


@pytest.mark.parametrize("kind", ["f4", "f8", ">f8"])
def test_old_spelling_and_other_precisions_are_read(tmp_path, kind):
    transform = smooth_transform(GRID)
    write_itk_hdf5(tmp_path / "a.h5", transform)
    with h5py.File(tmp_path / "a.h5", "a") as store:
        for number in "12":
            group = store[f"TransformGroup/{number}"]
            for name in ("Parameters", "FixedParameters"):
                values = group[f"Transform{name}"][()].astype(kind)
                del group[f"Transform{name}"]
                group[f"Tranform{name}"] = values
            kind_name = group["TransformType"][0].replace(b"double", b"float")
            del group["TransformType"]
            group["TransformType"] = np.array([kind_name], dtype=h5py.string_dtype("ascii"))
    points = inner_points(GRID)
    again = read_itk_hdf5(tmp_path / "a.h5")
    assert max_distance(again.map_points(points), transform.map_points(points)) < 1e-3
