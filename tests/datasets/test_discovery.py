"""Descriptions of folders of images as a dataset.json."""

import numpy as np
import pytest
from support.planning_data import nifti, write_document

from zoo.datasets.discovery import describe_folder
from zoo.datasets.reading import read_dataset
from zoo.errors import UserError


def write(root, *names):
    for k, name in enumerate(names):
        array = np.random.default_rng(k).integers(0, 99, (14, 12, 13)).astype(np.int16)
        nifti(root / name, array)
    return root


def described(root, **more):
    document = describe_folder(root, **more)
    write_document(root, document)
    return document, read_dataset(root)


def test_bids_names_give_cases_modalities_and_annotations(tmp_path):
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


def test_single_images_per_case_form_pairs_between_cases(tmp_path):
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


def test_an_unknown_modality_is_an_error_that_names_the_flag(tmp_path):
    write(tmp_path, "a.nii.gz", "b.nii.gz")
    with pytest.raises(UserError, match=r"--modality\.0 mr"):
        describe_folder(tmp_path)


def test_fewer_than_two_images_are_an_error(tmp_path):
    write(tmp_path, "a.nii.gz")
    with pytest.raises(UserError, match="a pair needs two"):
        describe_folder(tmp_path)


def write_ct(path, *, resampled=False):
    array = np.random.default_rng(1).integers(-900, 1500, (14, 12, 13)).astype(np.float32)
    array[:3] = -1024
    if resampled:
        array[3:] += 0.3
    nifti(path, array if resampled else array.astype(np.int16))


@pytest.mark.parametrize("resampled", [False, True])
@pytest.mark.parametrize("names", [("a", "b", "z"), ("sub-1_T1w", "sub-2_T1w", "sub-3_T1w")])
def test_a_ct_among_mr_images_is_an_error_that_names_the_file(tmp_path, names, resampled):
    write(tmp_path, *(f"{name}.nii.gz" for name in names[:2]))
    declared = {"0": "mr"}
    describe_folder(tmp_path, modality=declared)
    write_ct(tmp_path / f"{names[2]}.nii.gz", resampled=resampled)
    with pytest.raises(UserError, match=rf"^{names[2]}\.nii\.gz: .*Hounsfield"):
        describe_folder(tmp_path, modality=declared)


def test_an_mr_among_ct_images_is_an_error_that_names_the_file(tmp_path):
    for name in ("a", "b"):
        write_ct(tmp_path / f"{name}.nii.gz")
    write(tmp_path, "z.nii.gz")
    with pytest.raises(UserError, match=r"^z\.nii\.gz: 2 of 3 .*this one is not"):
        describe_folder(tmp_path)


def test_shifted_ct_images_may_be_described_as_ct(tmp_path):
    write(tmp_path, "a.nii.gz", "b.nii.gz")
    assert describe_folder(tmp_path, modality={"0": "ct"})["modality"] == {"0": "ct"}
