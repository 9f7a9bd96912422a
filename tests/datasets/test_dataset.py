import csv
import json

import pytest
from support.planning_data import nifti, write_document, write_learn2reg

from zoo.datasets.names import case_of, stem
from zoo.datasets.pairs import load_pair, pair_files
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


def test_a_learn2reg_dataset_gives_pairs_that_load(tmp_path):
    write_learn2reg(tmp_path, shape=(20, 22, 18))
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    assert dataset.modality == {"0": "MR", "1": "CT"}
    assert dataset.label_names[12] == "structure 12"
    pair = load_pair(pair_files(**dataset.pairs("val")[1]))
    assert pair.name == "Ph_0002_0000_Ph_0002_0001"
    assert pair.fixed_labels.grid.same_as(pair.fixed.grid)
    inside = pair.moving.__getitem__(0).grid.to_index(pair.moving_points)
    assert (inside > -1).all()


def test_key_points_are_read_in_voxels_although_the_list_says_nifti(folder):
    (folder / "keypoints01Tr").mkdir()
    (folder / "keypoints01Tr" / "A_0001_0000.csv").write_text("1,2,3\n")
    entry = {"image": image(1), "keypoints01": "./keypoints01Tr/A_0001_0000.nii.gz"}
    pair = {"fixed": image(1), "moving": image(1, 1)}
    write_document(folder, {"training": [entry], "registration_val": [pair]})
    found = read_dataset(folder).pairs("val")[0]
    assert found["fixed_points"].endswith("keypoints01Tr/A_0001_0000.csv")
    assert found["points_space"] == "voxel"
    assert pair_files(**found).moving_points is None


def test_masks_and_labels_stand_beside_their_image_without_being_listed(folder):
    nifti(folder / "masksTr" / "A_0001_0000.nii.gz")
    nifti(folder / "labelsTr" / "A_0001_0000.nii.gz")
    write_document(folder, {"training": [{"image": image(1)}, {"image": image(1, 1)}]})
    found = read_dataset(folder).pairs("train")[0]
    assert found["fixed_labels"].endswith("labelsTr/A_0001_0000.nii.gz")
    assert found["fixed_mask"].endswith("masksTr/A_0001_0000.nii.gz")
    assert found["moving_labels"] is None


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
def test_dialects_of_the_lists_are_understood(folder, key, split):
    write_document(folder, {key: [{"fixed": image(1), "moving": image(2)}]})
    assert names(read_dataset(folder).pairs(split)) == [("0001_0000", "0002_0000")]


def test_two_slots_of_a_case_are_a_pair_in_the_declared_direction(folder):
    entries = [{"image": image(case, slot)} for case in (1, 2) for slot in (0, 1)]
    direction = {"fixed": 1, "moving": 0}
    write_document(folder, {"training": entries, "registration_direction": direction})
    expected = [("0001_0001", "0001_0000"), ("0002_0001", "0002_0000")]
    assert names(read_dataset(folder).pairs("train")) == expected


def test_images_of_one_slot_are_paired_each_with_the_next(folder):
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
    ("text", "said"),
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
def test_a_file_that_is_no_dataset_is_refused(tmp_path, text, said):
    (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        read_dataset(tmp_path)


def test_json_beyond_the_size_limit_is_not_parsed(tmp_path):
    with (tmp_path / "dataset.json").open("wb") as stream:
        stream.truncate((64 << 20) + 1)
    with pytest.raises(UserError, match="at most"):
        read_dataset(tmp_path)


def test_a_bundle_run_refuses_a_dataset_with_a_missing_file_instead_of_skipping_it(folder):
    entries = [{"fixed": image(1), "moving": image(k)} for k in (2, 9)]
    write_document(folder, {"registration_val": entries})
    with pytest.raises(UserError, match=r"file-missing: imagesTr/A_0009_0000\.nii\.gz"):
        read_dataset(folder).pairs("val")


def test_an_unknown_split_is_refused_and_an_empty_one_names_the_others(folder):
    write_document(folder, {"registration_val": [{"fixed": image(1), "moving": image(2)}]})
    with pytest.raises(UserError, match="use train, val, test or all"):
        read_dataset(folder).pairs("validation")
    with pytest.raises(UserError, match="there are val"):
        read_dataset(folder).pairs("test")


def test_a_list_under_an_unknown_name_is_told(tmp_path):
    pair = {"fixed": "a.nii.gz", "moving": "b.nii.gz"}
    document = {"registration_val": [pair], "pairs": [pair], "evaluation_methods": [{"name": "x"}]}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    told = [p for p in read_dataset(tmp_path).problems if p.id == "list-unknown"]
    assert [p.what for p in told] == ["the list 'pairs' names images, and is not read"]


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
def test_the_case_is_told_from_the_name(name, case):
    assert case_of(name) == case


def test_labels_are_named_in_any_of_the_three_ways(folder):
    pair = {"registration_val": [{"fixed": image(1), "moving": image(2)}]}
    for labels in ({"1": "liver"}, {"liver": 1}, {"0": {"1": "liver"}, "1": {"1": "liver"}}):
        write_document(folder, {**pair, "labels": labels})
        assert read_dataset(folder).label_names == {1: "liver"}
    assert json.loads((folder / "dataset.json").read_text())["labels"]["0"]
