import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.report_cases import SMALL, on_disk

from zoo import UserError
from zoo.datasets.pairs import PairFiles
from zoo.evaluation import cases as evaluation
from zoo.synthesis.phantom import make_pair


def table_of(folder, text):
    (folder / "pairs.csv").write_text(text)
    return folder / "pairs.csv"


def test_summary_of_known_values():
    rows = [{"tre_mm_after": v, "l2r_tre": v, "dice_after": None} for v in range(1, 12)]
    found = evaluation.summary(rows)
    assert set(found) == {"tre_mm_after", "l2r_tre"}
    row = found["tre_mm_after"]
    assert (row["n"], row["mean"], row["median"]) == (11, 6, 6)
    assert (row["smallest"], row["largest"]) == (1, 11)
    assert found["l2r_tre"]["30"] == pytest.approx(8)
    assert "30" not in row


def test_the_bootstrap_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(3).gamma(2, size=60)
    low, high = evaluation.bootstrap_interval(values)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000)
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.04)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.04)
    assert evaluation.bootstrap_interval(values) == (low, high)
    assert evaluation.bootstrap_interval(values[:1]) == (None, None)


def test_the_interval_covers_the_true_mean_about_95_times_in_100():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = evaluation.bootstrap_interval(random.normal(5, 2, size=40))
        hits += low <= 5 <= high
    assert 0.88 <= hits / 200 <= 0.99


@pytest.mark.parametrize(
    ("fixed", "moving", "name"),
    [
        ("ThoraxCBCT_0011_0001.nii.gz", "ThoraxCBCT_0011_0000.nii.gz", "disp_0011_0001_0011_0000"),
        ("a.nii.gz", "b_2.mha", "disp_a_b_2"),
        ("0003_0000.nii.gz", "0004_0000.nii", "disp_0003_0000_0004_0000"),
    ],
)
def test_learn2reg_names(fixed, moving, name):
    assert evaluation.learn2reg_name(PairFiles(Path(fixed), (Path(moving),))) == name


def test_a_table_names_pairs_relative_to_itself(tmp_path):
    on_disk(tmp_path / "a", make_pair(1, **SMALL))
    header = "fixed, moving,fixed_points,moving_points,points_space,field\n"
    names = ("fixed.nii.gz", "moving.nii.gz", "fixed_points.csv", "moving_points.csv")
    row = ",".join([*(f"a/{name}" for name in names), "ras", "a/transform.nii.gz"])
    (case,) = evaluation.cases_of_table(table_of(tmp_path, header + row + "\n"))
    figures = evaluation.evaluate_case(case)["figures"]
    assert figures["tre_mm_after"] < 0.1 < figures["tre_mm_before"]
    assert "dice_after" not in figures


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fixed,movin\na,b\n", "columns fixed, movin"),
        ("fixed,moving\na.nii.gz,b.nii.gz\n", "no column field"),
        ("fixed,moving\na.nii.gz,\n", "line 2: no moving image"),
        ("fixed,moving\n", "holds no pairs"),
        ("fixed,moving\na.nii,b.nii,c.nii\n", "line 2: more cells"),
        ("fixed,moving,points_space\na.nii,b.nii,mm\n", "line 2: the points_space 'mm'"),
    ],
)
def test_a_bad_table_is_told(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        evaluation.cases_of_table(table_of(tmp_path, text))


def test_a_missing_field_is_told_by_the_name_it_should_have(tmp_path):
    table = table_of(tmp_path, "fixed,moving\nX_0001_0000.nii.gz,X_0001_0001.nii.gz\n")
    with pytest.raises(UserError, match=r"disp_0001_0000_0001_0001\.nii\.gz"):
        evaluation.cases_of_table(table, tmp_path)


def test_a_pairs_folder_is_read_with_all_that_came_with_it(tmp_path):
    files = on_disk(tmp_path / "run" / "one", make_pair(2, **SMALL))
    given = {name: str(path) for name, path in files.items() if name != "field"}
    result = {**given, "moving": [given["moving"]], "points_space": "ras", "seconds": {"a": 1.5}}
    (tmp_path / "run" / "one" / "result.json").write_text(json.dumps(result))
    (case,) = evaluation.cases_of_run(tmp_path / "run")
    assert case.files.fixed_points == files["fixed_points"]
    assert case.field == files["field"]
    assert case.seconds == 1.5
    assert case.name == "one"
    assert evaluation.cases_of_run(tmp_path / "run" / "one") == [replace(case, name=None)]


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


def test_the_fields_of_a_dataset_are_found_by_the_names_of_a_run_of_images_and_of_learn2reg(
    tmp_path,
):
    dataset = listed(tmp_path, 4)
    names = [f"X_{k:04d}_0000_X_{k:04d}_0001" for k in range(1, 5)]
    fields = tmp_path / "fields"
    (fields / names[0]).mkdir(parents=True)
    for file in ("transform.h5", "inverse.h5"):
        (fields / names[0] / file).touch()
    (fields / names[0] / "result.json").write_text('{"seconds": {"a": 1, "b": 2}}')
    found = [fields / f"{names[1]}.tfm", fields / "disp_0003_0000_0003_0001.npz"]
    found.append(fields / "disp_0004_0004.nii.gz")
    for file in found:
        file.touch()
    cases = evaluation.cases_of_dataset(dataset, "test", fields)
    assert [case.name for case in cases] == names
    assert [case.field for case in cases] == [fields / names[0] / "transform.h5", *found]
    assert (cases[0].seconds, cases[0].inverse) == (3, fields / names[0] / "inverse.h5")
    found[1].unlink()
    with pytest.raises(UserError, match=r"disp_0003_0000_0003_0001"):
        evaluation.cases_of_dataset(dataset, "test", fields)
    with pytest.raises(UserError, match="splits with pairs are test"):
        evaluation.cases_of_dataset(dataset, "val", fields)


def test_folders_without_results_or_maps_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no result\.json"):
        evaluation.cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text('{"fixed": "a", "moving": ["b"]}')
    with pytest.raises(UserError, match=r"no transform\.nii\.gz"):
        evaluation.cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text("[1, 2]")
    with pytest.raises(UserError, match="holds list"):
        evaluation.cases_of_run(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        evaluation.cases_of_run(tmp_path)


def test_pairs_that_are_called_alike_get_names_of_their_own(tmp_path):
    rows = "".join(f"s{k}/t1.nii.gz,s{k}/t2.nii.gz,f{k}.nii.gz\n" for k in (1, 2))
    cases = evaluation.cases_of_table(table_of(tmp_path, f"fixed,moving,field\n{rows}"))
    assert [case.name for case in cases] == ["t1_t2", "t1_t2-2"]


def test_several_moving_images_of_a_row_are_relative_to_the_table_too(tmp_path):
    text = 'fixed,moving,field\na.nii,"b.nii, c.nii",f.nii.gz\n'
    (case,) = evaluation.cases_of_table(table_of(tmp_path, text))
    assert case.files.moving == (tmp_path / "b.nii", tmp_path / "c.nii")


def test_a_table_that_is_not_utf8_is_told(tmp_path):
    (tmp_path / "pairs.csv").write_bytes("fixed,moving\nGröße.nii,b.nii\n".encode("latin-1"))
    with pytest.raises(UserError, match="UTF-8"):
        evaluation.cases_of_table(tmp_path / "pairs.csv")
