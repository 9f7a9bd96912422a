import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS
from support.nifti_cases import extension, nifti_bytes, write

from zoo import UserError
from zoo.geometry import Grid
from zoo.io.nifti import (
    VECTOR_INTENT,
    is_nifti,
    nifti_grid,
    open_nifti,
    read_nifti_array,
    write_nifti,
)
from zoo.io.volume import read_volume

FLIP = np.array([-1.0, -1.0, 1.0])


def volume(shape=(7, 6, 5), dtype=np.int16):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_written_volumes_have_the_same_position_in_nibabel_and_simpleitk(tmp_path, grid):
    path = tmp_path / "a.nii.gz"
    data = volume(grid.shape)
    write_nifti(path, data, grid)
    image, itk = nib.load(path), sitk.ReadImage(str(path))
    np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
    assert np.array_equal(np.asarray(image.dataobj), data)
    assert np.array_equal(sitk.GetArrayFromImage(itk).transpose(2, 1, 0), data)
    for index in np.ndindex(2, 2, 2):
        corner = [k * (n - 1) for k, n in zip(index, grid.shape, strict=True)]
        ours = grid.to_world(torch.tensor([corner]))[0].numpy()
        theirs = np.array(itk.TransformIndexToPhysicalPoint(corner)) * FLIP
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert nifti_grid(open_nifti(path)).same_as(grid)


def test_written_header_has_codes_units_and_no_scale(tmp_path):
    write_nifti(tmp_path / "a.nii", volume(), Grid.from_spacing((7, 6, 5)))
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units() == ("mm", "unknown")
    assert header.get_slope_inter() == (None, None)
    assert header.get_intent()[0] == "none"
    field = volume((7, 6, 5, 1, 3), np.float32)
    write_nifti(tmp_path / "b.nii", field, Grid.from_spacing((7, 6, 5)), intent=VECTOR_INTENT)
    header = nib.load(tmp_path / "b.nii").header
    assert header.get_intent()[0] == "vector"
    assert header.get_xyzt_units() == ("mm", "sec")


def test_writing_is_deterministic(tmp_path):
    grid = Grid.from_spacing((7, 6, 5))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_nifti(tmp_path / name, volume(), grid)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize("shape", [(7, 6, 5, 1, 3), (7, 6, 5, 3)])
def test_a_field_is_compressed_to_the_bytes_that_nibabel_writes(tmp_path, shape):
    field = np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)
    field[:4] = 0
    for name in ("a.nii.gz", "b.nii.gz", "a.nii"):
        write_nifti(tmp_path / name, field, Grid.from_spacing((7, 6, 5)))
    compressed = (tmp_path / "a.nii.gz").read_bytes()
    assert compressed == (tmp_path / "b.nii.gz").read_bytes()
    assert gzip.decompress(compressed) == (tmp_path / "a.nii").read_bytes()  # written by nibabel
    assert len(compressed) < 0.65 * (tmp_path / "a.nii").stat().st_size
    image = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj).tobytes() == field.tobytes()
    if len(shape) == 4:  # ITK has the fourth axis first and the voxels in reverse order
        assert np.array_equal(sitk.GetArrayFromImage(image).transpose(3, 2, 1, 0), field)


@pytest.mark.parametrize(
    "dtype", [">i2", ">f4", ">f8", ">u2", "<i4", "|u1", "|i1", "<u4", "<i8", "<u8"]
)
def test_byte_orders_and_dtypes_are_read_like_nibabel(tmp_path, dtype):
    data = (volume() - 20 * (np.dtype(dtype).kind != "u")).astype(dtype)
    order = ">" if dtype[0] == ">" else "<"
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(data.dtype)
    image = nib.Nifti1Image(data, np.eye(4), header)
    image.set_sform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    array = read_nifti_array(open_nifti(tmp_path / "a.nii.gz"))
    assert np.array_equal(array, np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj))
    assert array.flags.c_contiguous
    assert array.dtype.isnative
    assert torch.from_numpy(array).shape == (7, 6, 5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_scaled_integers_become_float32_with_the_values_of_nibabel(tmp_path, suffix):
    image = nib.Nifti1Image(volume(), np.eye(4))
    image.set_sform(np.eye(4), 1)
    image.header.set_slope_inter(0.25, -7)
    path = tmp_path / f"a{suffix}"
    image.to_filename(path)
    array = read_nifti_array(open_nifti(path))
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, np.asarray(nib.load(path).dataobj), rtol=1e-6)
    assert array.min() < 0


def test_nifti2_is_read(tmp_path):
    image = nib.Nifti2Image(volume(), np.diag([2.0, 3, 4, 1]))
    image.set_sform(image.affine, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    file = open_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(read_nifti_array(file), volume())
    assert nifti_grid(file).spacing == (2, 3, 4)


def test_sheared_grid_is_not_written(tmp_path):
    affine = torch.eye(4, dtype=torch.float64)
    affine[0, 1] = 0.1
    with pytest.raises(UserError, match="sheared"):
        write_nifti(tmp_path / "a.nii", volume(), Grid((7, 6, 5), affine))
    assert not list(tmp_path.iterdir())


def test_other_suffixes_are_not_written(tmp_path):
    with pytest.raises(UserError, match=r"end in \.nii or \.nii\.gz"):
        write_nifti(tmp_path / "a.img", volume(), Grid.from_spacing((7, 6, 5)))


@pytest.mark.parametrize("dtype", ["<i4", "<f8"])
def test_scaling_of_wide_types_is_computed_in_double_precision(tmp_path, dtype):
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header["scl_slope"], header["scl_inter"] = 1, -(2**24)
    image = nib.Nifti1Image(np.zeros((3, 3, 3), dtype), np.eye(4), header)
    image.to_filename(tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[352:] = np.full(27, 2**24 + 1, dtype).tobytes()
    raw[112:120] = np.array([1, -(2**24)], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(raw)
    expected = np.asanyarray(nib.load(tmp_path / "a.nii").dataobj)
    assert expected.max() == 1
    array = read_volume(tmp_path / "a.nii").data.numpy()
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == (np.float64 if dtype == "<f8" else np.float32)


@pytest.mark.parametrize(("kind", "size"), [(nib.Nifti1Image, 347), (nib.Nifti2Image, 539)])
def test_a_file_that_ends_within_its_header_is_refused(tmp_path, kind, size):
    kind(volume(), np.eye(4)).to_filename(tmp_path / "whole.nii")
    whole = (tmp_path / "whole.nii").read_bytes()
    for length in (100, size):
        (tmp_path / "a.nii").write_bytes(whole[:length])
        with pytest.raises(UserError, match=f"its {length} bytes are less than a header"):
            open_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_are_read_in_both_byte_orders(tmp_path, kind, order):
    extensions = extension(32, order=order) + extension(16, order=order)
    content = nifti_bytes(volume(), kind=kind, order=order, extensions=extensions)
    path = write(tmp_path / "a.nii", content)
    assert is_nifti(path)
    assert np.array_equal(read_nifti_array(open_nifti(path)), volume())
    assert np.array_equal(np.asarray(nib.load(path).dataobj), volume())


@pytest.mark.parametrize("start", [b"\x5b\1\0\0", b"\x5d\1\0\0", b"\x1d\2\0\0", b"\x5c\1\0", b""])
def test_other_files_are_not_nifti(tmp_path, start):
    path = write(tmp_path / "a.nii", start + b"\0" * 3 * (len(start) == 4))
    assert not is_nifti(path)
    if start:
        with pytest.raises(UserError, match=r"is not NIfTI \(it begins with b'"):
            open_nifti(path)


@pytest.mark.parametrize(
    "shape", [(40,), (9, 40), (3, 2, 35), (2, 3, 33, 2), (2, 2, 2, 1, 1, 1, 3)]
)
def test_files_of_one_to_seven_axes_are_read_like_nibabel(tmp_path, shape):
    data = 1 + np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    path = write(tmp_path / "a.nii", nifti_bytes(data))
    file = open_nifti(path)
    assert file.shape == shape
    assert np.array_equal(read_nifti_array(file), np.asarray(nib.load(path).dataobj))
    assert nifti_grid(file).shape == (*shape, 1, 1)[:3]


@pytest.mark.parametrize(
    ("dim", "pattern"),
    [
        ([0, 7, 6, 5, 1, 1, 1, 1], "it has 0 axes; NIfTI allows 1 to 7"),
        ([8, 7, 6, 5, 1, 1, 1, 1], "axes; NIfTI allows 1 to 7"),
        ([-1, 7, 6, 5, 1, 1, 1, 1], "it has -1 axes; NIfTI allows 1 to 7"),
        ([3, 7, 0, 5, 1, 1, 1, 1], r"its shape is \(7, 0, 5\); each axis needs at least one"),
        ([3, 7, 6, -5, 1, 1, 1, 1], r"its shape is \(7, 6, -5\); each axis needs at least one"),
    ],
)
def test_impossible_shapes_are_refused(tmp_path, dim, pattern):
    path = write(tmp_path / "a.nii", nifti_bytes(volume(), dim=dim))
    with pytest.raises(UserError, match=pattern):
        open_nifti(path)


@pytest.mark.parametrize(
    ("number", "name", "code"),
    [
        (32, "complex64", "voxels-complex"),
        (1792, "complex128", "voxels-complex"),
        (2048, "complex256", "voxels-complex"),
        (1536, "float128", None),
        (128, "RGB", "voxels-colour"),
        (2304, "RGBA", "voxels-colour"),
        (1, "an unknown type", None),
    ],
)
def test_voxels_that_are_not_one_real_number_are_refused(tmp_path, number, name, code):
    path = write(tmp_path / "a.nii", nifti_bytes(volume(), datatype=number))
    with pytest.raises(UserError, match=rf"voxels of {name} \(code {number}\)") as refusal:
        open_nifti(path)
    assert refusal.value.code == code


@pytest.mark.parametrize("more", [0, 1])
def test_uint64_is_read_up_to_the_largest_int64(tmp_path, more):
    data = np.full((2, 3, 4), 5, np.uint64)
    data[1, 2, 3] = 2**63 - 1 + more
    file = open_nifti(write(tmp_path / "a.nii", nifti_bytes(data)))
    if more:
        with pytest.raises(UserError, match=f"has the uint64 value {2**63}; at most {2**63 - 1} "):
            read_nifti_array(file)
    else:
        assert np.array_equal(read_nifti_array(file), data.astype(np.int64))


@pytest.mark.parametrize(
    ("slope", "intercept", "scaled"),
    [(1, 0, False), (0, 5, False), (np.nan, 5, False), (0, np.nan, False), (2, 0, True),
     (1, 5, True), (-0.5, 3, True)],
)  # fmt: skip
def test_a_slope_of_zero_or_nan_and_the_identity_are_no_scaling(tmp_path, slope, intercept, scaled):
    content = nifti_bytes(volume(), scl_slope=slope, scl_inter=intercept)
    array = read_nifti_array(open_nifti(write(tmp_path / "a.nii", content)))
    assert array.dtype == (np.float32 if scaled else np.int16)
    assert np.array_equal(array, volume() * slope + intercept if scaled else volume())


@pytest.mark.parametrize(
    ("slope", "intercept"), [(np.inf, 0), (-np.inf, 1), (2, np.nan), (2, np.inf)]
)
def test_a_scaling_that_is_not_finite_is_refused(tmp_path, slope, intercept):
    content = nifti_bytes(volume(), scl_slope=slope, scl_inter=intercept)
    file = open_nifti(write(tmp_path / "a.nii", content))
    with pytest.raises(UserError, match=f"scales its voxels by {slope:g} and adds {intercept:g}"):
        read_nifti_array(file)


def test_a_volume_of_a_series_has_the_voxels_before_and_after_it(tmp_path):
    file = open_nifti(write(tmp_path / "a.nii", nifti_bytes(volume((7, 6, 5, 4)))))
    volumes = [file.volume(k) for k in range(4)]
    assert [(v.first, v.rest) for v in volumes] == [(0, 630), (210, 420), (420, 210), (630, 0)]
    assert {v.shape for v in volumes} == {(7, 6, 5)}
    for k, chosen in enumerate(volumes):
        assert np.array_equal(read_nifti_array(chosen), volume((7, 6, 5, 4))[..., k])


@pytest.mark.parametrize("shape", [(32767, 2, 3), (32768, 2, 3)])
def test_an_axis_beyond_16_bits_is_written_as_nifti2(tmp_path, shape):
    write_nifti(tmp_path / "a.nii", np.ones(shape, np.uint8), Grid.from_spacing(shape))
    size = int.from_bytes((tmp_path / "a.nii").read_bytes()[:4], "little")
    assert size == (540 if shape[0] > 32767 else 348)
    assert open_nifti(tmp_path / "a.nii").shape == shape


@pytest.mark.parametrize(("shape", "dtype"), [((60, 50, 40), "f4"), ((60, 50, 20, 2), "i2")])
def test_voxels_that_repeat_are_compressed(tmp_path, shape, dtype):
    pattern = np.random.default_rng(0).integers(0, 30000, shape[0]).astype(dtype)
    data = np.broadcast_to(pattern.reshape(-1, *[1] * (len(shape) - 1)), shape)
    write_nifti(tmp_path / "a.nii.gz", data, Grid.from_spacing(shape[:3]))
    assert (tmp_path / "a.nii.gz").stat().st_size < 0.1 * data.nbytes
    assert np.array_equal(np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj), data)


def test_a_name_that_contradicts_the_compression_is_refused(tmp_path):
    for name, content, pattern in (
        ("a.nii.gz", nifti_bytes(volume()), r"is not compressed, .*; rename it to end in \.nii$"),
        ("a.nii", gzip.compress(nifti_bytes(volume())), r"is compressed .*to end in \.nii\.gz$"),
    ):
        with pytest.raises(UserError, match=pattern) as refusal:
            open_nifti(write(tmp_path / name, content))
        assert refusal.value.code == "name-gzip"
    with pytest.raises(UserError, match=r"damaged \(its gzip stream cannot be read\)"):
        open_nifti(write(tmp_path / "b.nii.gz", gzip.compress(nifti_bytes(volume()))[:9]))


@pytest.mark.parametrize(
    ("kind", "fields", "pattern"),
    [
        (nib.Nifti1Image, {"magic": b"ni1"}, "is half of a NIfTI pair"),
        (nib.Nifti2Image, {"magic": b"ni2"}, "is half of a NIfTI pair"),
        (nib.Nifti1Image, {"magic": b""}, "is an Analyze header"),
        (nib.Nifti2Image, {"eol_check": (10, 26, 10, 0)}, "damaged .its line ends were converted"),
        (nib.Nifti2Image, {"eol_check": (0, 0, 0, 0)}, None),
    ],
)
def test_the_magic_of_a_single_file_is_needed(tmp_path, kind, fields, pattern):
    path = write(tmp_path / "a.nii", nifti_bytes(volume(), kind=kind, **fields))
    if pattern is None:
        assert np.array_equal(read_nifti_array(open_nifti(path)), volume())
    else:
        with pytest.raises(UserError, match=pattern):
            open_nifti(path)


@pytest.mark.parametrize(
    ("kind", "offset", "pattern"),
    [
        (nib.Nifti1Image, 351, "begin at byte 351; the least is 352"),
        (nib.Nifti2Image, 543, "begin at byte 543; the least is 544"),
        (nib.Nifti1Image, np.nan, "begin at byte nan; the least is 352"),
        (nib.Nifti1Image, np.inf, "begin at byte inf; the least is 352"),
        (nib.Nifti1Image, 2**26 + 8, "at most 67108864 is allowed: remove its extensions"),
        (nib.Nifti1Image, 353, r"damaged \(shape \(7, 6, 5\) of int16 needs 773 bytes.* has 772\)"),
        (nib.Nifti1Image, 2**26, None),
    ],
)
def test_the_voxels_begin_after_the_header_and_within_64_mib(tmp_path, kind, offset, pattern):
    path = write(tmp_path / "a.nii", nifti_bytes(volume(), kind=kind, vox_offset=offset))
    if pattern is None:
        with path.open("r+b") as stream:
            stream.truncate(offset + 420)
        assert not read_nifti_array(open_nifti(path)).any()
    else:
        with pytest.raises(UserError, match=pattern):
            open_nifti(path)


@pytest.mark.parametrize("more", [0, 1])
def test_a_gzip_file_has_at_most_1032_times_its_bytes(tmp_path, more):
    dim = [2, 8, (200 * 1032 - 352) // 8 + more, 1, 1, 1, 1, 1]
    header = gzip.compress(nifti_bytes(np.zeros((1, 1), np.uint8), dim=dim))
    path = write(tmp_path / "a.nii.gz", header.ljust(200, b"\0"))
    if more:
        with pytest.raises(UserError, match="needs 206408 bytes, the file has 200"):
            open_nifti(path)
    else:
        assert open_nifti(path).shape == (8, 25756)


@pytest.mark.parametrize("shape", [(1024, 1024, 1024), (512, 512, 1024, 8), (1025, 1024, 1024)])
def test_a_volume_has_at_most_two_to_the_thirty_voxels(tmp_path, shape):
    dim = [len(shape), *shape, *[1] * (7 - len(shape))]
    path = write(tmp_path / "a.nii", nifti_bytes(np.zeros((1, 1), np.uint8), dim=dim))
    with path.open("r+b") as stream:
        stream.truncate(352 + int(np.prod(shape)))
    if shape[0] > 1024:
        with pytest.raises(UserError, match="at most 1073741824 voxels are allowed"):
            open_nifti(path)
    else:
        assert open_nifti(path).shape == shape


@pytest.mark.parametrize("more", [0, 1])
def test_at_most_16_mib_follow_the_voxels_of_a_gzip_file(tmp_path, more):
    series = volume((7, 6, 5, 4))
    content = nifti_bytes(series) + bytes((16 << 20) + more)
    file = open_nifti(write(tmp_path / "a.nii.gz", gzip.compress(content, 1))).volume(1)
    if more:
        with pytest.raises(UserError, match=f"more than {16777216 + 2 * 420} bytes follow"):
            read_nifti_array(file)
    else:
        assert np.array_equal(read_nifti_array(file), series[..., 1])


@pytest.mark.parametrize(
    ("extensions", "broken"),
    [
        (extension(32), None),
        (extension(8) + extension(24), None),
        (extension(32) + b"\xff" * 15, None),
        (extension(32) + b"\xff" * 16, 384),
        (extension(32, 33), 352),
        (extension(32, 7), 352),
        (extension(32, -8), 352),
        (extension(48) + extension(16, 0), 400),
        (extension(16) * 1000, None),
        (extension(16) * 1001, 352 + 16000),
    ],
    ids=lambda value: str(value)[-20:],
)
def test_the_lengths_of_extensions_are_checked(tmp_path, extensions, broken):
    content = nifti_bytes(volume(), extensions=extensions)
    for name, pack in (("a.nii", bytes), ("a.nii.gz", gzip.compress)):
        path = write(tmp_path / name, pack(content))
        if broken is None:
            assert np.array_equal(read_nifti_array(open_nifti(path)), volume())
        else:
            with pytest.raises(UserError, match=f"broken header extension at byte {broken} "):
                open_nifti(path)
    without = bytearray(content)
    without[348] = 0  # the header says that there are none
    assert open_nifti(write(tmp_path / "b.nii", without)).shape == (7, 6, 5)


@pytest.mark.parametrize("damage", ["cut", "no deflate stream", "checksum", "ends before"])
def test_a_gzip_file_that_is_damaged_in_its_extensions_is_refused(tmp_path, damage):
    content = nifti_bytes(volume(), extensions=extension(4096))
    first, second = bytearray(gzip.compress(content[:600])), gzip.compress(content[600:])
    if damage == "checksum":
        first[-8] ^= 1
    ends = {"cut": second[:12], "no deflate stream": second[:10] + b"\xff" * 9, "ends before": b""}
    path = write(tmp_path / "a.nii.gz", first + ends.get(damage, second))
    pattern = (
        "it ends before its voxels, which begin at byte 4448" if damage == "ends before" else ""
    )
    with pytest.raises(UserError, match=rf"is truncated or damaged \({pattern}"):
        open_nifti(path)
