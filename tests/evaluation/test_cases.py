import json
from dataclasses import replace

import pytest
from support.report_cases import SMALL, on_disk

from zoo import UserError
from zoo.evaluation import (
    cases_of_dataset,
    cases_of_run,
    cases_of_table,
    evaluate_case,
)
from zoo.synthesis.phantom import make_pair


def table_of(folder, text):
    (folder / "pairs.csv").write_text(text)
    return folder / "pairs.csv"


def test_a_table_names_pairs_relative_to_itself(tmp_path):
    on_disk(tmp_path / "a", make_pair(1, **SMALL))
    header = "fixed, moving,fixed_points,moving_points,points_space,field\n"
    names = ("fixed.nii.gz", "moving.nii.gz", "fixed_points.csv", "moving_points.csv")
    row = ",".join([*(f"a/{name}" for name in names), "ras", "a/transform.nii.gz"])
    (case,) = cases_of_table(table_of(tmp_path, header + row + "\n"))
    figures = evaluate_case(case)["figures"]
    assert figures["tre_mm_after"] < 0.1 < figures["tre_mm_before"]
    assert "dice_after" not in figures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fixed,movin\na,b\n", "columns fixed, movin"),
        ("fixed,moving\na.nii.gz,b.nii.gz\n", "line 2 names no field"),
        ("fixed,moving\na.nii.gz,\n", "line 2 has no moving image"),
        ("fixed,moving\n", "contains no pairs"),
        ("fixed,moving\na.nii,b.nii,c.nii\n", "line 2 has more cells"),
        ("fixed,moving,points_space\na.nii,b.nii,mm\n", "line 2 has the points_space 'mm'"),
    ],
)
def test_a_bad_table_is_refused_with_the_line_and_the_reason(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        cases_of_table(table_of(tmp_path, text))


def test_the_error_about_a_missing_field_names_the_expected_file(tmp_path):
    table = table_of(tmp_path, "fixed,moving\nX_0001_0000.nii.gz,X_0001_0001.nii.gz\n")
    with pytest.raises(UserError, match=r"disp_0001_0000_0001_0001\.nii\.gz"):
        cases_of_table(table, tmp_path)


def test_a_case_of_a_run_has_the_annotations_the_time_and_the_name_of_its_folder(tmp_path):
    files = on_disk(tmp_path / "run" / "one", make_pair(2, **SMALL))
    given = {name: str(path) for name, path in files.items() if name != "field"}
    result = {**given, "moving": [given["moving"]], "points_space": "ras", "seconds": {"a": 1.5}}
    (tmp_path / "run" / "one" / "result.json").write_text(json.dumps(result))
    (case,) = cases_of_run(tmp_path / "run")
    assert case.files.fixed_points == files["fixed_points"]
    assert case.field == files["field"]
    assert case.seconds == 1.5
    assert case.name == "one"
    assert cases_of_run(tmp_path / "run" / "one") == [replace(case, name=None)]


def listed(folder, count):
    """Write a dataset.json of `count` pairs whose images are empty names."""
    (folder / "imagesTs").mkdir()
    pairs = []
    for k in range(1, count + 1):
        names = [f"imagesTs/X_{k:04d}_000{slot}.nii.gz" for slot in (0, 1)]
        for name in names:
            (folder / name).write_bytes(b"a file")
        pairs.append(dict(zip(("fixed", "moving"), names, strict=True)))
    (folder / "dataset.json").write_text(json.dumps({"registration_test": pairs}))
    return folder / "dataset.json"


def test_fields_of_a_dataset_are_found_as_a_run_as_a_file_per_pair_or_as_learn2reg(tmp_path):
    dataset = listed(tmp_path, 4)
    names = [f"X_{k:04d}_0000_X_{k:04d}_0001" for k in range(1, 5)]
    fields = tmp_path / "fields"
    (fields / names[0]).mkdir(parents=True)
    for file in ("transform.h5", "inverse.h5"):
        (fields / names[0] / file).touch()
    (fields / names[0] / "result.json").write_text('{"seconds": {"a": 1, "b": 2}}')
    others = [fields / f"{names[1]}.tfm", fields / "disp_0003_0000_0003_0001.npz"]
    others.append(fields / "disp_0004_0004.nii.gz")
    for file in others:
        file.touch()
    cases = cases_of_dataset(dataset, "test", fields)
    assert [case.name for case in cases] == names
    assert [case.field for case in cases] == [fields / names[0] / "transform.h5", *others]
    assert (cases[0].seconds, cases[0].inverse) == (3, fields / names[0] / "inverse.h5")
    others[1].unlink()
    with pytest.raises(UserError, match=r"disp_0003_0000_0003_0001"):
        cases_of_dataset(dataset, "test", fields)
    with pytest.raises(UserError, match="the splits with pairs are test"):
        cases_of_dataset(dataset, "val", fields)


def test_folders_without_results_or_transforms_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"no result\.json"):
        cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text('{"fixed": "a", "moving": ["b"]}')
    with pytest.raises(UserError, match=r"neither transform\.nii\.gz nor transform\.h5"):
        cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="contains a JSON array"):
        cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        cases_of_run(tmp_path)


def test_pairs_with_equal_image_names_get_different_names(tmp_path):
    rows = "".join(f"s{k}/t1.nii.gz,s{k}/t2.nii.gz,f{k}.nii.gz\n" for k in (1, 2))
    cases = cases_of_table(table_of(tmp_path, f"fixed,moving,field\n{rows}"))
    assert [case.name for case in cases] == ["t1_t2", "t1_t2-2"]


def test_several_moving_images_in_a_row_are_relative_to_the_table(tmp_path):
    text = 'fixed,moving,field\na.nii,"b.nii, c.nii",f.nii.gz\n'
    (case,) = cases_of_table(table_of(tmp_path, text))
    assert case.files.moving == (tmp_path / "b.nii", tmp_path / "c.nii")


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "pairs.csv").write_bytes("fixed,moving\nGröße.nii,b.nii\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        cases_of_table(tmp_path / "pairs.csv")
