import csv
from pathlib import Path

import pytest
from support.planning_data import nifti, write_document, write_learn2reg

from zoo.datasets.names import case_of, stem
from zoo.datasets.pairs import PairFiles, load_pair, pair_files
from zoo.datasets.reading import read_dataset
from zoo.errors import UserError


@pytest.fixture
def folder(tmp_path):
    for case in (1, 2, 3):
        for slot in (0, 1):
            nifti(tmp_path / "imagesTr" / f"A_{case:04d}_{slot:04d}.nii.gz")
    return tmp_path


def image(case, slot=0, folder="imagesTr"):
    return f"./{folder}/A_{case:04d}_{slot:04d}.nii.gz"


def names(pairs):
    short = [(p["fixed"], *p["moving"]) for p in pairs]
    return [tuple(stem(name.rpartition("/")[2])[2:] for name in pair) for pair in short]


def test_the_pairs_of_a_learn2reg_dataset_load(tmp_path):
    write_learn2reg(tmp_path, shape=(20, 22, 18))
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    assert dataset.modality == {"0": "MR", "1": "CT"}
    assert dataset.label_names[12] == "structure 12"
    pair = load_pair(pair_files(**dataset.pairs("val")[1]))
    assert pair.name == "Ph_0002_0000_Ph_0002_0001"
    assert pair.fixed_labels.grid.same_as(pair.fixed.grid)
    inside = pair.moving[0].grid.to_index(pair.moving_points)
    assert (inside > -1).all()


def test_key_points_are_read_in_voxels_although_the_list_says_nifti(folder):
    (folder / "keypoints01Tr").mkdir()
    (folder / "keypoints01Tr" / "A_0001_0000.csv").write_text("1,2,3\n")
    entry = {"image": image(1), "keypoints01": "./keypoints01Tr/A_0001_0000.nii.gz"}
    listed = {"fixed": image(1), "moving": image(1, 1)}
    write_document(folder, {"training": [entry], "registration_val": [listed]})
    pair = read_dataset(folder).pairs("val")[0]
    assert pair["fixed_points"].endswith("keypoints01Tr/A_0001_0000.csv")
    assert pair["points_space"] == "voxel"
    assert pair_files(**pair).moving_points is None


def test_masks_and_labels_in_parallel_folders_need_not_be_listed(folder):
    nifti(folder / "masksTr" / "A_0001_0000.nii.gz")
    nifti(folder / "labelsTr" / "A_0001_0000.nii.gz")
    write_document(folder, {"training": [{"image": image(1)}, {"image": image(1, 1)}]})
    pair = read_dataset(folder).pairs("train")[0]
    assert pair["fixed_labels"].endswith("labelsTr/A_0001_0000.nii.gz")
    assert pair["fixed_mask"].endswith("masksTr/A_0001_0000.nii.gz")
    assert pair["moving_labels"] is None


@pytest.mark.parametrize(
    ("key", "split"),
    [
        ("training_paired_images", "train"),
        ("registration_val", "val"),
        ("validation", "val"),
        ("imagesVal", "val"),
        ("registration_test", "test"),
        ("test", "test"),
    ],
)
def test_variants_of_the_list_names_are_understood(folder, key, split):
    write_document(folder, {key: [{"fixed": image(1), "moving": image(2)}]})
    assert names(read_dataset(folder).pairs(split)) == [("0001_0000", "0002_0000")]


def test_two_slots_of_a_case_form_a_pair_in_the_declared_direction(folder):
    entries = [{"image": image(case, slot)} for case in (1, 2) for slot in (0, 1)]
    direction = {"fixed": 1, "moving": 0}
    write_document(folder, {"training": entries, "registration_direction": direction})
    expected = [("0001_0001", "0001_0000"), ("0002_0001", "0002_0000")]
    assert names(read_dataset(folder).pairs("train")) == expected


def test_images_of_a_single_slot_are_each_paired_with_the_next(folder):
    write_document(folder, {"training": [image(case) for case in (1, 2, 3)]})
    expected = [("0001_0000", "0002_0000"), ("0002_0000", "0003_0000")]
    assert names(read_dataset(folder).pairs("train")) == expected


def test_a_table_of_pairs_is_a_dataset(folder):
    with (folder / "pairs.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["fixed", "moving", "fixed_labels", "split", "points_space"])
        writer.writerow([image(1), image(2), image(1), "train", "lps"])
        writer.writerow([image(1), image(3), "", "", "lps"])
    dataset = read_dataset(folder)
    assert names(dataset.pairs("all")) == [("0001_0000", "0002_0000"), ("0001_0000", "0003_0000")]
    assert dataset.pairs("train")[0]["points_space"] == "lps"
    assert dataset.pairs("train")[0]["fixed_labels"].endswith("A_0001_0000.nii.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"training": [], "training": []}', "occurs twice"),
        ('{"training": [NaN]}', "NaN"),
        ("[1]", "not an object"),
        ("{", "not valid JSON"),
        ('{"name": "x"}', "lists no images"),
        ('{"training": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ("\x80\x02pickle", "not valid JSON"),
    ],
)
def test_a_file_that_is_not_a_dataset_is_an_error(tmp_path, text, message):
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_dataset(tmp_path)


def test_json_beyond_the_size_limit_is_not_parsed(tmp_path):
    with (tmp_path / "dataset.json").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(UserError, match="at most"):
        read_dataset(tmp_path)


def test_a_missing_file_is_an_error_and_its_pair_is_not_skipped(folder):
    entries = [{"fixed": image(1), "moving": image(k)} for k in (2, 9)]
    write_document(folder, {"registration_val": entries})
    with pytest.raises(UserError, match=r"file-missing: imagesTr/A_0009_0000\.nii\.gz"):
        read_dataset(folder).pairs("val")


def test_an_unknown_split_is_an_error_and_an_empty_split_names_the_others(folder):
    write_document(folder, {"registration_val": [{"fixed": image(1), "moving": image(2)}]})
    with pytest.raises(UserError, match="use train, val, test or all"):
        read_dataset(folder).pairs("validation")
    with pytest.raises(UserError, match="splits with pairs are val"):
        read_dataset(folder).pairs("test")


def test_a_folder_without_a_list_points_to_init(tmp_path):
    with pytest.raises(UserError, match="regzoo init"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("imagesTr/ThoraxCBCT_0011_0001.nii.gz", "ThoraxCBCT_0011"),
        ("sub-01/anat/sub-01_T1w.nii.gz", "sub-01"),
        ("a/patient.mha", "patient"),
    ],
)
def test_the_case_follows_from_the_name(name, case):
    assert case_of(name) == case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imagesTr/A_0001_0000.nii.gz", "A_0001_0000"),
        ("a/x.1.2.nii", "x.1.2"),
        ("x.MHA", "x"),
        ("points/A_0001.csv", "A_0001"),
        ("no suffix", "no suffix"),
    ],
)
def test_a_stem_has_neither_folder_nor_suffix(name, expected):
    assert stem(name) == stem(Path(name)) == expected


def test_a_pair_is_named_after_its_images():
    files = PairFiles(Path("a/x.1.nii.gz"), (Path("b/y.mha"), Path("b/z.mha")))
    assert files.name == "x.1_y"


def test_label_names_are_read_from_any_of_three_forms(folder):
    pair = {"registration_val": [{"fixed": image(1), "moving": image(2)}]}
    for labels in ({"1": "liver"}, {"liver": 1}, {"0": {"1": "liver"}, "1": {"1": "liver"}}):
        write_document(folder, {**pair, "labels": labels})
        assert read_dataset(folder).label_names == {1: "liver"}
