"""The keys, columns and values that the file of a dataset may have."""

import json

import pytest
from support.planning_data import nifti

from zoo.datasets.reading import read_dataset
from zoo.errors import UserError
from zoo.evaluation.cases import cases_of_table

PAIR = {"fixed": "./imagesTr/A_0001_0000.nii.gz", "moving": "./imagesTr/A_0001_0001.nii.gz"}
GOOD = {"name": "A", "modality": {"0": "CT", "1": "MR"}, "registration_val": [PAIR]}
# The keys of the files of Learn2Reg's tasks ThoraxCBCT, LungCT and OASIS, with short values.
LEARN2REG = {
    "name": "ThoraxCBCT", "release": "2", "description": "", "licence": "", "reference": "x",
    "pairings": "paired", "provided_data": {"0": ["image", "keypoints01", "keypoints02"]},
    "registration_direction": {"fixed": 1, "moving": 0},
    "modality": {"0": "FBCT", "1": "CBCT"},
    "img_shift": {"fixed": "followup", "moving": "baseline"}, "labels": {},
    "tensorImageSize": {"0": "3D"}, "tensorImageShape": {"0": [390, 280, 300]},
    "numTraining": 1, "numTest": 0,
    "training": [{
        "image": PAIR["fixed"], "keypoints01": "./keypoints01Tr/A_0001_0000.nii.gz",
        "keypoints02": "./keypoints02Tr/A_0001_0000.nii.gz",
    }],
    "test": [], "numPairedTraining": 1, "training_paired_images": [PAIR],
    "numPairedTest": 0, "test_paired_images": [], "numRegistration_val": 1,
    "registration_val": [PAIR], "numRegistration_test": 0, "registration_test": [],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for slot in (0, 1):
        nifti(tmp_path / "imagesTr" / f"A_0001_{slot:04d}.nii.gz")
    for number in ("01", "02"):
        (tmp_path / f"keypoints{number}Tr").mkdir()
        (tmp_path / f"keypoints{number}Tr" / "A_0001_0000.csv").write_text("1,2,3\n")
    return tmp_path


def read(folder, document):
    (folder / "dataset.json").write_text(json.dumps(document))
    return read_dataset(folder)


def test_all_keys_of_learn2reg_are_known(folder):
    dataset = read(folder, LEARN2REG)
    assert dataset.problems == ()
    assert dataset.pairing == "intra"
    assert dataset.fixed_slot == "1"
    assert set(dataset.counts.values()) == {(1, 1), (0, 0)}


def test_keys_of_the_decathlon_and_of_an_early_learn2reg_are_known(folder):
    decathlon = {"relase": "1.0 04/05/2018", "license": "CC", "tensorImageSize": "3D"}
    early = {"description": "", "labels": {}, "release": 0.0, "tensorImageSize": "4D"}
    for more in (decathlon, early):
        assert read(folder, {**GOOD, **more, "labels": {"0": "background"}}).problems == ()


def test_lists_by_slot_are_read(folder):
    images = {str(slot): [{"image": PAIR[side]}] for slot, side in enumerate(("fixed", "moving"))}
    dataset = read(folder, {"training": images, "numTraining": {"0": 1, "1": 1}})
    assert dataset.counts == {"numTraining": (2, 2)}
    assert len(dataset.pairs("train")) == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("registration_vall", [PAIR], "did you mean registration_val"),
        ("modalities", {}, "did you mean modality"),
        ("run", ["$print(1)"], "no such key"),
        ("_target_", "os.system", "no such key"),
        ("nаme", "with a Cyrillic letter", r"'n\\u0430me'.*did you mean name"),
        ("name\n", "x", r"'name\\n'.*did you mean name"),
        ("name", "$open('x')", "allowed only in the names of files"),
        ("description", "  @x", "allowed only in the names of files"),
        ("modality", {"0": "%evil.json::x"}, "allowed only in the names of files"),
        ("labels", {"$x": 1}, "allowed only in the names of files"),
        ("provided_data", {"0": [["@x"]]}, "allowed only in the names of files"),
        ("name", 3, "use a text"),
        ("name", "x" * 200_000, "use a text"),
        ("modality", "CT", "one text per slot"),
        ("modality", {"0": ["CT"]}, "one text per slot"),
        ("modality", {"zero": "CT"}, "one text per slot"),
        ("labels", {"1": 2.5}, "a name per label"),
        ("labels", {"0": {"1": {"2": "x"}}}, "a name per label"),
        ("labels", {"1": -1}, "a name per label"),
        ("pairing", "both", "use intra or inter"),
        ("pairings", ["paired"], "use paired or unpaired or hybrid"),
        ("points_space", "mm", "use ras or lps or voxel"),
        ("registration_direction", {"fixed": -1}, "the slots of both"),
        ("registration_direction", {"fixd": 1}, "the slots of both"),
        ("registration_direction", [1, 0], "the slots of both"),
        ("numTraining", -1, "a whole number of at least 0"),
        ("numTraining", 10**12, "a whole number of at least 0"),
        ("numTraining", True, "a whole number of at least 0"),
        ("numTraining", {"x": 1}, "a whole number of at least 0"),
        ("training", "imagesTr", "a list of images or pairs"),
        ("training", {"train": []}, "a list of images or pairs"),
        ("release", [1], "a text or a number"),
    ],
)
def test_unknown_keys_and_wrong_values_are_refused(folder, key, value, message):
    with pytest.raises(UserError, match=message) as refusal:
        read(folder, {**GOOD, key: value})
    text = str(refusal.value)
    assert text.startswith(f"{folder / 'dataset.json'}: ")
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    ("entry", "unknown", "hint"),
    [
        ({"image": PAIR["fixed"], "lable": "x"}, "'lable'", "did you mean label"),
        ({**PAIR, "fixed_mask_": "x"}, "'fixed_mask_'", "did you mean fixed_mask"),
        ({**PAIR, "moving_keypoint01": "x"}, "moving_keypoint01", "did you mean moving_keypoints"),
        ({**PAIR, "_target_": "os.system"}, "'_target_'", ""),
        ({"image": PAIR["fixed"], "keypoints0001": "x"}, "'keypoints0001'", "keypoints"),
    ],
)
def test_unknown_keys_of_entries_are_errors(folder, entry, unknown, hint):
    dataset = read(folder, {**GOOD, "training": [entry]})
    (problem,) = dataset.problems
    assert (problem.id, problem.level) == ("entry-key", "error")
    assert unknown in problem.what
    assert hint in problem.what
    with pytest.raises(UserError, match="entry-key"):
        dataset.pairs("val")


def test_names_of_files_may_begin_with_any_character(folder):
    names = ["$a.nii.gz", "@b.nii.gz", "%c.nii.gz"]
    for name in names:
        nifti(folder / name)
    pairs = [{"fixed": "@b.nii.gz", "moving": "%c.nii.gz"}]
    dataset = read(folder, {"registration_val": pairs})
    assert dataset.problems == ()
    assert dataset.files == names[1:]
    listed = read(folder, {"registration_val": [{"fixed": "$a.nii.gz", "moving": "@b.nii.gz"}]})
    assert [problem.id for problem in listed.problems] == ["path-variable"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fixed,movin\na,b\n", r"'movin' is not known \(did you mean moving\?\)"),
        ("fixed,moving,fixed_label\na,b,c\n", "did you mean fixed_labels"),
        ("fixed,moving,$x\na,b,c\n", "'\\$x' is not known"),
        ("fixed,moving,fixed\na,b,c\n", "the column fixed twice"),
        ("fixed\na\n", "add moving"),
        ("fixed,moving\na,b,c\n", "line 2 has more cells"),
    ],
)
def test_both_readers_of_tables_refuse_the_same_columns(tmp_path, text, message):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    for read_table in (read_dataset, cases_of_table):
        with pytest.raises(UserError, match=message):
            read_table(path)
