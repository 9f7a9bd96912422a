import zipfile

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import zoom
from support.report_cases import SMALL, on_disk

from zoo import UserError
from zoo.datasets.pairs import PairFiles
from zoo.evaluation.cases import Case
from zoo.evaluation.learn2reg import displacement
from zoo.evaluation.submission import write_submission
from zoo.synthesis.phantom import make_pair


@pytest.fixture
def phantom():
    return make_pair(2, **SMALL)


@pytest.fixture
def case(tmp_path, phantom):
    files = on_disk(tmp_path / "pair", phantom)
    names = [tmp_path / "pair" / f"Brain_0001_000{k}.nii.gz" for k in (0, 1)]
    files["fixed"].rename(names[0])
    files["moving"].rename(names[1])
    return Case(PairFiles(names[0], (names[1],)), files["field"])


def test_full_fields_are_float32_voxels(tmp_path, phantom, case):
    assert write_submission([case], tmp_path / "out") == ["disp_0001_0000_0001_0001.nii.gz"]
    image = nib.load(tmp_path / "out" / "disp_0001_0000_0001_0001.nii.gz")
    expected = displacement(phantom.truth, phantom.fixed_grid, phantom.moving_grid)
    assert image.get_data_dtype() == np.float32
    assert image.shape == expected.shape
    assert np.abs(np.asanyarray(image.dataobj) - expected).max() < 1e-4


def test_half_size_fields_are_restored_as_the_challenge_does(tmp_path, phantom, case):
    write_submission([case], tmp_path / "out", half=True)
    with np.load(tmp_path / "out" / "disp_0001_0000_0001_0001.npz") as archive:
        small = archive["arr_0"]
    assert small.dtype == np.float16
    assert small.shape == (3, 20, 18, 16)
    restored = np.stack([zoom(component.astype(np.float32), 2, order=2) for component in small])
    expected = displacement(phantom.truth, phantom.fixed_grid, phantom.moving_grid)
    inner = (slice(None), *(slice(4, -4),) * 3)
    assert np.abs(restored - np.moveaxis(expected, -1, 0))[inner].max() < 0.12


def test_an_archive_contains_the_files_at_its_top_level(tmp_path, case):
    write_submission([case], tmp_path / "submission.zip")
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        assert archive.namelist() == ["disp_0001_0000_0001_0001.nii.gz"]
        assert archive.testzip() is None


def test_pairs_that_would_share_a_name_are_refused(tmp_path, case):
    with pytest.raises(UserError, match="disp_0001_0000_0001_0001"):
        write_submission([case, case], tmp_path / "out")


def test_half_size_fields_of_an_odd_shape_are_refused(tmp_path):
    files = on_disk(tmp_path / "odd", make_pair(2, **(SMALL | {"shape": (31, 30, 28)})))
    case = Case(PairFiles(files["fixed"], (files["moving"],)), files["field"])
    with pytest.raises(UserError, match="even"):
        write_submission([case], tmp_path / "out", half=True)
