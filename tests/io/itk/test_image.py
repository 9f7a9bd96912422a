import sys
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from support.io_cases import GRIDS
from support.itk_headers import DATA, metaimage, nrrd

from zoo import UserError
from zoo.io.itk.image import is_itk_image, read_itk_header, read_itk_image, write_itk_image
from zoo.io.volume import read_header, read_volume


@pytest.fixture
def image():
    return sitk.GetImageFromArray(np.arange(8000, dtype=np.int16).reshape(20, 20, 20))


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd"])
def test_files_are_recognised_by_their_content(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path))
    assert is_itk_image(path)


def test_missing_simpleitk_is_an_error_that_names_the_extra(tmp_path, image, monkeypatch):
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"regzoo\[itk\]"):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_truncated_files_are_refused(tmp_path, image, suffix, packed):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(image, str(path), packed)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UserError, match="truncated or damaged") as refusal:
        read_volume(path)
    assert "\n" not in str(refusal.value)


def test_vectors_and_slices_are_refused(tmp_path, image):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.Compose(image, image), str(path))
    with pytest.raises(UserError, match="2-component voxels"):
        read_header(path)
    sitk.WriteImage(image[:, :, 3], str(path))
    with pytest.raises(UserError, match="2-dimensional"):
        read_header(path)


def test_complex_and_infinite_voxels_are_refused(tmp_path, image):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.RealToHalfHermitianForwardFFT(sitk.Cast(image, sitk.sitkFloat32)), path)
    with pytest.raises(UserError, match=r"save it as one|component"):
        read_volume(path)
    sitk.WriteImage(sitk.Cast(image, sitk.sitkFloat32) / 0, path)
    with pytest.raises(UserError, match="NaN or Inf"):
        read_volume(path)


@pytest.mark.parametrize("kind", [sitk.sitkUInt8, sitk.sitkUInt16, sitk.sitkUInt32, sitk.sitkInt64])
def test_types_that_torch_lacks_are_widened(tmp_path, image, kind):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.Cast(image, kind), path)
    expected = sitk.GetArrayFromImage(sitk.Cast(image, kind)).transpose(2, 1, 0)
    assert np.array_equal(read_volume(path).data.numpy(), expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"ObjectType = Image\n", True),
        (b"NDims = 3\n", True),
        (b"NRRD0004\n", True),
        (b"nrrd0004\n", False),
        (b" NDims = 3\n", False),
        (b"", False),
    ],
)
def test_the_first_word_of_an_image_is_known(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert is_itk_image(tmp_path / "a") is expected


def test_what_cannot_be_read_is_no_image(tmp_path):
    assert is_itk_image(tmp_path) is False
    assert is_itk_image(tmp_path / "missing") is False


@pytest.mark.parametrize("write", [metaimage, nrrd])
def test_voxels_and_their_places_are_those_of_simpleitk(tmp_path, write):
    path = write(tmp_path)
    theirs = sitk.ReadImage(str(path))
    data, grid = read_itk_image(path)
    assert np.array_equal(data, sitk.GetArrayFromImage(theirs).transpose(2, 1, 0))
    assert data.flags.c_contiguous
    assert read_itk_header(path)[1] == "int16"
    for found in (grid, read_itk_header(path)[0]):
        assert found.shape == theirs.GetSize()
        x, y, z = theirs.TransformIndexToPhysicalPoint((3, 2, 1))
        assert found.to_world(torch.tensor([[3, 2, 1]])).tolist() == [[-x, -y, z]]


def test_a_metaimage_may_begin_with_its_number_of_axes(tmp_path):
    data, _ = read_itk_image(metaimage(tmp_path, ObjectType=None))
    assert data.ravel("F").tolist() == DATA.tolist()


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_written_images_are_read_by_simpleitk(tmp_path, suffix):
    grid, path = GRIDS["oblique anisotropic LAS"], tmp_path / f"a{suffix}"
    data = np.zeros(grid.shape, np.int16)
    data[13, 5, 9] = 1234
    write_itk_image(path, data, grid)
    theirs = sitk.ReadImage(str(path))
    assert theirs.GetSize() == grid.shape
    assert np.array_equal(sitk.GetArrayFromImage(theirs).transpose(2, 1, 0), data)
    points = [theirs.TransformIndexToPhysicalPoint(k) for k in ((0, 0, 0), (13, 5, 9))]
    ours = grid.to_world(torch.tensor([[0, 0, 0], [13, 5, 9]])).numpy()
    assert np.allclose(points * np.array([-1, -1, 1]), ours, atol=1e-4)
    assert path.stat().st_size < data.nbytes / 4  # compressed


def test_the_reason_why_simpleitk_cannot_write_is_quoted(tmp_path):
    with pytest.raises(
        UserError, match=r"cannot write \S*/a\.xyz \(.*\); is the disk full\?"
    ) as error:
        write_itk_image(tmp_path / "a.xyz", np.zeros((20, 17, 14), np.int16), GRIDS["RAS"])
    assert "Exception thrown" not in str(error.value)
    assert not list(tmp_path.iterdir())


NO_SPACE = dict.fromkeys(("space", "space_directions", "space_origin"))


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"kinds": "domain"}, r"truncated or damaged \("),
        ({**NO_SPACE, "kinds": "vector domain domain"}, "2-dimensional with 4-component voxels"),
    ],
)
def test_what_simpleitk_reads_differently_is_refused(tmp_path, changes, pattern):
    path = nrrd(tmp_path, **changes)
    with pytest.raises(UserError, match=pattern) as refusal:
        read_itk_header(path)
    assert "Exception thrown" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_voxels_of_64_bits_without_sign_are_refused(tmp_path, image):
    sitk.WriteImage(sitk.Cast(image, sitk.sitkUInt64), tmp_path / "a.mha")
    pattern = r"voxels of 64-bit unsigned integer; save it as one of uint8, int8.*, float64"
    with pytest.raises(UserError, match=pattern):
        read_itk_header(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("kind", "stored", "read"),
    [
        (sitk.sitkUInt8, "uint8", "uint8"),
        (sitk.sitkInt8, "int8", "int8"),
        (sitk.sitkUInt16, "uint16", "int32"),
        (sitk.sitkUInt32, "uint32", "int64"),
        (sitk.sitkInt32, "int32", "int32"),
        (sitk.sitkFloat32, "float32", "float32"),
        (sitk.sitkFloat64, "float64", "float64"),
    ],
)
def test_the_stored_type_is_stated(tmp_path, image, kind, stored, read):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.Cast(image, kind), path)
    assert read_itk_header(path)[1] == stored
    assert read_itk_image(path)[0].dtype == read


def other_simpleitk(monkeypatch, **answers):
    """Let the reader of another SimpleITK understand a header in its own way."""
    methods = {f"Get{name}": lambda self, value=value: value for name, value in answers.items()}
    reader = type("Reader", (sitk.ImageFileReader,), methods)
    names = {"ImageFileReader": reader, "GetPixelIDValueAsString": sitk.GetPixelIDValueAsString}
    monkeypatch.setitem(sys.modules, "SimpleITK", SimpleNamespace(**names))


@pytest.mark.parametrize(
    ("answers", "pattern"),
    [
        ({"Size": (3, 4, 2)}, r"ambiguous: \(3, 4, 2\) of int16 or \(4, 3, 2\) of int16"),
        ({"Size": (5, 3, 2)}, r"ambiguous: \(5, 3, 2\) of int16 or \(4, 3, 2\) of int16"),
        ({"PixelIDValue": sitk.sitkUInt16}, "ambiguous: .* of uint16 or .* of int16"),
        ({"PixelIDValue": sitk.sitkFloat32}, "ambiguous: .* of float32 or .* of int16"),
        ({"NumberOfComponents": 2}, "3-dimensional with 2-component"),
        ({"Spacing": (1.0, 0.0, 2.0)}, r"the spacing \[1.0, 0.0, 2.0\]; set each one above 0"),
        ({"Spacing": (1.0, 2.0, -0.5)}, r"the spacing \[1.0, 2.0, -0.5\]; set each one above 0"),
        ({"Spacing": (1.0, 2.0, np.inf)}, r"the spacing \[1.0, 2.0, inf\]; set each one above 0"),
        ({"Spacing": (np.nan, 2.0, 3.0)}, r"the spacing \[nan, 2.0, 3.0\]; set each one above 0"),
        ({"Direction": (1.0, 0, 0, 1, 0, 0, 0, 0, 1)}, "correct its direction"),
        ({"Direction": (np.nan, 0, 0, 0, 1, 0, 0, 0, 1)}, "correct its direction"),
        ({"Origin": (np.inf, 0, 0)}, "correct its direction"),
    ],
)
def test_a_header_on_which_simpleitk_disagrees_is_refused(tmp_path, monkeypatch, answers, pattern):
    path = metaimage(tmp_path)
    other_simpleitk(monkeypatch)
    assert read_itk_header(path)[0].shape == (4, 3, 2)
    other_simpleitk(monkeypatch, **answers)
    with pytest.raises(UserError, match=rf"a\.mha.*{pattern}"):
        read_itk_header(path)


def test_small_spacings_are_read(tmp_path):
    grid, _ = read_itk_header(metaimage(tmp_path, ElementSpacing="0.5 0.25 0.125"))
    assert grid.spacing == (0.5, 0.25, 0.125)
