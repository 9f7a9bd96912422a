"""The single images of a dataset or of a folder."""

import json

import pytest
import torch

from zoo.errors import UserError
from zoo.geometry import Grid
from zoo.io.volume import write_volume
from zoo.pipelines.groups.members import read_group

GRID = Grid.from_spacing((8, 8, 8))


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, torch.rand(GRID.shape), GRID)


def test_images_of_a_folder_come_with_the_labels_that_share_their_names(tmp_path):
    for name in ("a_t1", "a_labels", "b_t1"):
        write(tmp_path / f"{name}.nii.gz")
    group = read_group(tmp_path)
    found = {member.name: member.labels for member in group.members}
    assert found == {"a_t1": tmp_path / "a_labels.nii.gz", "b_t1": None}
    assert group.modality is None


def test_equal_file_names_in_several_folders_get_names_of_their_own(tmp_path):
    for folder in ("sub-01", "sub-02"):
        write(tmp_path / folder / "t1.nii.gz")
    names = [member.name for member in read_group(tmp_path).members]
    assert len(set(names)) == 2
    assert all(name.startswith("sub-0") and "/" not in name for name in names)


def test_a_dataset_of_two_slots_gives_the_images_of_the_fixed_slot(tmp_path):
    pairs = []
    for case in ("0001", "0002"):
        for slot in ("0000", "0001"):
            write(tmp_path / f"A_{case}_{slot}.nii.gz")
        pairs.append({"fixed": f"A_{case}_0000.nii.gz", "moving": f"A_{case}_0001.nii.gz"})
    document = {"modality": {"0": "CT", "1": "MR"}, "anatomy": "abdomen"}
    (tmp_path / "dataset.json").write_text(json.dumps(document | {"registration_val": pairs}))
    group = read_group(tmp_path)
    assert [member.name for member in group.members] == ["A_0001_0000", "A_0002_0000"]
    assert (group.modality, group.anatomy) == ("CT", "abdomen")


def test_a_dataset_with_an_error_is_refused(tmp_path):
    write(tmp_path / "a.nii.gz")
    pairs = [{"fixed": "a.nii.gz", "moving": "../outside.nii.gz"}]
    document = {"modality": {"0": "MR"}, "registration_val": pairs}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="for a full list run regzoo check"):
        read_group(tmp_path)
