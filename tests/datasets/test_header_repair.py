"""Header repair: copies with valid headers, the originals unchanged."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from support.bad_inputs import set_header
from support.planning_data import nifti, write_document

from zoo.datasets.checks import all_problems
from zoo.datasets.header_repair import repair_headers
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import scan_dataset
from zoo.errors import UserError

BROKEN = {
    "metres": {"xyzt_units": 1},
    "broken qform": {"quatern_b": 2.0},
    "voxels of 0": {"pixdim": [1, 0, 2, 2, 0, 0, 0, 0]},
    "negative voxels": {"pixdim": [-1, -2, 2, 2, 0, 0, 0, 0]},
}


def scanned(folder):
    dataset = read_dataset(folder)
    return dataset, all_problems(scan_dataset(dataset))


@pytest.mark.parametrize("name", BROKEN)
def test_a_header_is_repaired_in_a_copy_and_the_original_stays(tmp_path, name):
    data = tmp_path / "data"
    affine = np.array([[0, 0, 2.5, 9], [-2, 0, 0, 8], [0, 1.5, 0, -7], [0, 0, 0, 1.0]])
    names = [f"imagesTr/A_000{k}_0000.nii.gz" for k in (1, 2)]
    for k, image in enumerate(names):
        array = np.random.default_rng(k).integers(0, 99, (24, 22, 20)).astype(np.int16)
        nifti(data / image, array, affine=affine)
    set_header(data / names[0], BROKEN[name])
    before = (data / names[0]).read_bytes()
    write_document(data, {"training": names})
    dataset, problems = scanned(data)
    assert problems
    assert repair_headers(dataset, problems, tmp_path / "repaired") == [names[0]]
    assert (data / names[0]).read_bytes() == before
    copy = nib.load(tmp_path / "repaired" / names[0])
    assert np.allclose(copy.affine, affine)
    assert np.array_equal(np.asanyarray(copy.dataobj), nib.load(data / names[0]).dataobj)
    (data / names[0]).write_bytes((tmp_path / "repaired" / names[0]).read_bytes())
    assert scanned(data)[1] == []


def test_a_header_without_a_certain_correct_value_is_not_repaired(tmp_path):
    names = [f"imagesTr/A_000{k}_0000.nii.gz" for k in (1, 2)]
    for image in names:
        nifti(tmp_path / "data" / image)
    set_header(tmp_path / "data" / names[0], {"qoffset_x": 50.0})
    set_header(tmp_path / "data" / names[1], {"sform_code": 0, "qform_code": 0})
    write_document(tmp_path / "data", {"training": names})
    dataset, problems = scanned(tmp_path / "data")
    assert {"forms-differ", "forms-missing"} <= {p.id for p in problems}
    assert repair_headers(dataset, problems, tmp_path / "repaired") == []
    assert not (tmp_path / "repaired").exists()


def test_copies_are_not_written_into_the_dataset_itself(tmp_path):
    nifti(tmp_path / "a.nii.gz")
    write_document(tmp_path, {"training": ["a.nii.gz"]})
    with pytest.raises(UserError, match="folder for the copies"):
        repair_headers(read_dataset(tmp_path), [], tmp_path)


def test_a_compressed_copy_stays_compressed(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        nifti(tmp_path / "data" / name)
    set_header(tmp_path / "data" / "a.nii.gz", {"xyzt_units": 1})
    write_document(tmp_path / "data", {"training": ["a.nii.gz", "b.nii.gz"]})
    dataset, problems = scanned(tmp_path / "data")
    repair_headers(dataset, problems, tmp_path / "out")
    assert gzip.decompress((tmp_path / "out" / "a.nii.gz").read_bytes())
