"""Descriptions of folders of images as a dataset.json."""

import numpy as np
import pytest
from support.command_line import run
from support.dicom_cases import PATIENT, analytic_slices, write_series, write_slices
from support.planning_data import nifti, write_document

from zoo.datasets.discovery import describe_folder, discover
from zoo.datasets.names import case_of, kind_of, time_of
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


def pairs_of(root, **more):
    """Return the pairs (fixed, moving) of a description, and the reasons of what is left out."""
    found = discover(root, **({"modality": {"0": "mr", "1": "mr"}} | more))
    entries = found.document["registration_val"]
    return [(e["fixed"][2:], e["moving"][2:]) for e in entries], found


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("p{}_pre.nii.gz", "p{}_post.nii.gz"),
        ("p{}_baseline.nii.gz", "p{}_followup.nii.gz"),
        ("zz/p{}-follow-up.nii.gz", "zz/p{}-fu2.nii.gz"),
        ("p{}_tp1.nii.gz", "p{}_tp2.nii.gz"),
        ("s{0}/anat/sub-{0}_ses-01_T1w.nii.gz", "s{0}/anat/sub-{0}_ses-02_T1w.nii.gz"),
        ("sub-{0}_ses-M06_T1w.nii.gz", "sub-{0}_ses-M12_T1w.nii.gz"),
        ("case{}/pre.nii.gz", "case{}/post.nii.gz"),
    ],
)
def test_two_time_points_are_one_patient_and_the_earlier_one_is_fixed(tmp_path, earlier, later):
    names = [name.format(k) for k in (1, 2, 3) for name in (later, earlier)]
    write(tmp_path, *names)
    pairs, found = pairs_of(tmp_path)
    assert pairs == [(earlier.format(k), later.format(k)) for k in (1, 2, 3)]
    assert found.document["pairing"] == "intra"
    assert found.left_out == {}


def test_the_modality_in_the_name_makes_a_pair_of_one_patient(tmp_path):
    write(tmp_path, "patient1_pet.nii.gz", "patient1_mr.nii.gz", "patient2_pet.nii.gz",
          "patient2_mr.nii.gz", "patient3_mr.nii.gz")  # fmt: skip
    pairs, found = pairs_of(tmp_path, modality=None)
    assert pairs == [(f"patient{k}_mr.nii.gz", f"patient{k}_pet.nii.gz") for k in (1, 2)]
    assert found.document["modality"] == {"0": "mr", "1": "pet"}
    assert found.left_out == {"patient3_mr.nii.gz": "it is the only image of its patient"}


def test_series_of_several_volumes_and_functional_images_are_left_out(tmp_path, capsys):
    write(tmp_path, "sub-1/anat/sub-1_T1w.nii.gz", "sub-1/anat/sub-1_T2w.nii.gz",
          "sub-1/func/sub-1_task-rest_bold.nii.gz")  # fmt: skip
    array = np.random.default_rng(0).integers(0, 99, (14, 12, 13, 5)).astype(np.int16)
    nifti(tmp_path / "sub-1" / "anat" / "sub-1_cine.nii.gz", array)
    assert run("init", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "1 pair (intra" in shown
    assert "left out: 2 images" in shown
    assert "sub-1_task-rest_bold.nii.gz: a functional" in shown
    assert "sub-1_cine.nii.gz: the shape (14, 12, 13, 5) is that of several volumes" in shown


def test_of_several_kinds_at_several_times_the_most_frequent_one_is_paired(tmp_path):
    for k in (1, 2):
        write(tmp_path, f"p{k}_pre_t1.nii.gz", f"p{k}_post_t1.nii.gz", f"p{k}_pre_t2.nii.gz")
    pairs, found = pairs_of(tmp_path)
    assert pairs == [(f"p{k}_pre_t1.nii.gz", f"p{k}_post_t1.nii.gz") for k in (1, 2)]
    assert set(found.left_out) == {"p1_pre_t2.nii.gz", "p2_pre_t2.nii.gz"}


@pytest.mark.parametrize(
    ("name", "case", "time", "kind"),
    [
        ("patient1_ct.nii.gz", "patient1", 0, "ct"),
        ("MR-patient-7.nii.gz", "patient_7", 0, "MR"),
        ("pt_001.nii.gz", "pt_001", 0, ""),
        ("liver_post_op2.nii.gz", "liver_op2", 1, ""),
        ("a/b/t1.nii.gz", "a/b", 0, "t1"),
        ("preview_003.nii.gz", "preview_003", 0, ""),
        ("postbox.nii.gz", "postbox", 0, ""),
        ("sub-07_ses-followup_T2w.nii.gz", "sub-07", 1, "T2w"),
        ("p1_follow-up_t1.nii.gz", "p1", 1, "t1"),
        ("x_visit3_flair.nii.gz", "x", 3, "flair"),
        ("LUNG_0003_0001.nii.gz", "LUNG_0003", 0, ""),
    ],
)
def test_case_time_and_kind_follow_from_a_name(name, case, time, kind):
    assert (case_of(name), time_of(name)[0], kind_of(name)) == (case, time, kind)


def test_dicom_series_are_grouped_by_patient_and_date(tmp_path, capsys):
    for patient in "ab":
        for date, folder in (("20200301", "zz"), ("20210301", "aa")):
            write_series(
                tmp_path / patient / folder, shape=(12, 9, 10), spacing=(4, 4, 4),
                PatientID=f"{PATIENT}-{patient}", StudyDate=date,
            )  # fmt: skip
    localizer, _ = analytic_slices(shape=(12, 9, 2))
    localizer[1].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    write_slices(tmp_path / "a" / "scout", localizer)
    assert run("init", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "a/scout: the file mixes slices of 2 orientations" in shown
    text = (tmp_path / "dataset.json").read_text()
    assert PATIENT not in text + shown
    assert "20200301" not in text + shown
    dataset = read_dataset(tmp_path)
    assert [(p.fixed, p.moving) for p in dataset.named_pairs] == [
        ("a/zz", "a/aa"),
        ("b/zz", "b/aa"),
    ]
    assert dataset.modality == {"0": "CT", "1": "CT"}
    assert run("check", tmp_path) == 0


def test_two_series_in_one_folder_are_named_by_their_uid(tmp_path):
    uids = [write_two(tmp_path, k) for k in range(2)]
    document = describe_folder(tmp_path)
    (pair,) = document["registration_val"]
    assert {pair["fixed"], pair["moving"]} == {f"./study#{uid}" for uid in uids}
    write_document(tmp_path, document)
    assert read_dataset(tmp_path).problems == ()


def write_two(root, k):
    from pydicom.uid import generate_uid

    uid = generate_uid()
    slices, _ = analytic_slices(shape=(12, 9, 10), spacing=(4, 4, 4), series=uid)
    (root / "study").mkdir(exist_ok=True)
    for n, dataset in enumerate(slices):
        dataset.save_as(root / "study" / f"{k}-{n}.dcm", enforce_file_format=True)
    return uid
