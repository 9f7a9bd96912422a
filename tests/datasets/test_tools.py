"""Mending headers in copies, and making a dataset.json of loose files."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from support.bad_inputs import _set_header
from support.planning_data import nifti, write_document

from zoo.datasets.checks import all_problems
from zoo.datasets.discovery import describe_folder
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


def checked(folder):
    dataset = read_dataset(folder)
    return dataset, all_problems(scan_dataset(dataset))


@pytest.mark.parametrize("name", BROKEN)
def test_a_header_is_mended_in_a_copy_and_nowhere_else(tmp_path, name):
    data = tmp_path / "data"
    affine = np.array([[0, 0, 2.5, 9], [-2, 0, 0, 8], [0, 1.5, 0, -7], [0, 0, 0, 1.0]])
    names = [f"imagesTr/A_000{k}_0000.nii.gz" for k in (1, 2)]
    for k, image in enumerate(names):
        array = np.random.default_rng(k).integers(0, 99, (24, 22, 20)).astype(np.int16)
        nifti(data / image, array, affine=affine)
    _set_header(data / names[0], BROKEN[name])
    before = (data / names[0]).read_bytes()
    write_document(data, {"training": names})
    dataset, problems = checked(data)
    assert problems
    assert repair_headers(dataset, problems, tmp_path / "mended") == [names[0]]
    assert (data / names[0]).read_bytes() == before
    copy = nib.load(tmp_path / "mended" / names[0])
    assert np.allclose(copy.affine, affine)
    assert np.array_equal(np.asanyarray(copy.dataobj), nib.load(data / names[0]).dataobj)
    (data / names[0]).write_bytes((tmp_path / "mended" / names[0]).read_bytes())
    assert checked(data)[1] == []


def test_what_is_in_doubt_is_not_mended(tmp_path):
    names = [f"imagesTr/A_000{k}_0000.nii.gz" for k in (1, 2)]
    for image in names:
        nifti(tmp_path / "data" / image)
    _set_header(tmp_path / "data" / names[0], {"qoffset_x": 50.0})
    _set_header(tmp_path / "data" / names[1], {"sform_code": 0, "qform_code": 0})
    write_document(tmp_path / "data", {"training": names})
    dataset, problems = checked(tmp_path / "data")
    assert {"forms-differ", "forms-missing"} <= {p.id for p in problems}
    assert repair_headers(dataset, problems, tmp_path / "mended") == []
    assert not (tmp_path / "mended").exists()


def test_the_dataset_itself_is_no_place_for_copies(tmp_path):
    nifti(tmp_path / "a.nii.gz")
    write_document(tmp_path, {"training": ["a.nii.gz"]})
    with pytest.raises(UserError, match="folder for the copies"):
        repair_headers(read_dataset(tmp_path), [], tmp_path)


def write(root, *names):
    for k, name in enumerate(names):
        array = np.random.default_rng(k).integers(0, 99, (14, 12, 13)).astype(np.int16)
        nifti(root / name, array)
    return root


def described(root, **more):
    document = describe_folder(root, **more)
    write_document(root, document)
    return document, read_dataset(root)


def test_bids_names_tell_cases_modalities_and_annotations(tmp_path):
    for sub in ("01", "02"):
        anat = f"sub-{sub}/anat/sub-{sub}"
        write(tmp_path, f"{anat}_T1w.nii.gz", f"{anat}_T2w.nii.gz", f"{anat}_T1w_dseg.nii.gz")
    document, dataset = described(tmp_path)
    assert document["modality"] == {"0": "T1w", "1": "T2w"}
    assert document["pairing"] == "intra"
    assert dataset.problems == ()
    pair = dataset.pairs("val")[1]
    assert pair["fixed"].endswith("sub-02_T1w.nii.gz")
    assert pair["moving"][0].endswith("sub-02_T2w.nii.gz")
    assert pair["fixed_labels"].endswith("sub-02_T1w_dseg.nii.gz")
    assert dataset.slot(dataset.named_pairs[0].moving) == "1"


def test_one_image_a_case_makes_pairs_between_cases(tmp_path):
    write(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz", "labels/a.nii.gz", "masks/b.nii.gz")
    document, dataset = described(tmp_path, modality={"0": "mr"}, anatomy="brain")
    assert document["pairing"] == "inter"
    pairs = dataset.pairs("val")
    assert len(pairs) == 2
    assert pairs[0]["fixed_labels"].endswith("labels/a.nii.gz")
    assert pairs[0]["moving_mask"].endswith("masks/b.nii.gz")
    assert (dataset.anatomy, dataset.pairing) == ("brain", "inter")


def test_hounsfield_units_need_no_declaration(tmp_path):
    for name in ("a", "b"):
        array = np.random.default_rng(ord(name)).integers(-1024, 1500, (14, 12, 13))
        nifti(tmp_path / f"{name}.nii.gz", array.astype(np.int16))
    assert describe_folder(tmp_path)["modality"] == {"0": "CT"}


def test_what_cannot_be_told_is_asked_for_by_the_flag_to_add(tmp_path):
    write(tmp_path, "a.nii.gz", "b.nii.gz")
    with pytest.raises(UserError, match=r"--modality\.0 mr"):
        describe_folder(tmp_path)


def test_fewer_than_two_images_are_no_dataset(tmp_path):
    write(tmp_path, "a.nii.gz")
    with pytest.raises(UserError, match="a pair needs two"):
        describe_folder(tmp_path)


def test_a_compressed_copy_stays_compressed(tmp_path):
    write(tmp_path / "data", "a.nii.gz", "b.nii.gz")
    _set_header(tmp_path / "data" / "a.nii.gz", {"xyzt_units": 1})
    write_document(tmp_path / "data", {"training": ["a.nii.gz", "b.nii.gz"]})
    dataset, problems = checked(tmp_path / "data")
    repair_headers(dataset, problems, tmp_path / "out")
    assert gzip.decompress((tmp_path / "out" / "a.nii.gz").read_bytes())
