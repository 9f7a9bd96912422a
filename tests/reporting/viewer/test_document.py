"""The document of the viewer: limits, labels, landmarks and codes."""

import base64
import gzip
import json
import re

import numpy as np
import pytest
import torch
from support.report_cases import phantom_registration, result_of

from zoo.geometry import Grid
from zoo.reporting import write_report
from zoo.reporting.viewer.document import (
    jacobian_codes,
    label_codes,
    landmarks,
    quantised,
    viewer_document,
)


@pytest.fixture(scope="module")
def registration():
    return phantom_registration()


def raw(text, kind):
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), kind)


def test_the_data_stay_below_the_limit(registration):
    result = result_of(registration)
    free = viewer_document(registration, result, 1 << 30)
    assert free["shape"] == tuple(registration.pair.fixed.grid.shape)
    size = sum(map(len, free["data"].values()))
    small = viewer_document(registration, result, size // 3)
    assert sum(map(len, small["data"].values())) <= size // 3
    assert np.prod(small["shape"]) > np.prod(free["shape"]) / 8
    assert len(raw(small["data"]["fixed"], "u1")) == np.prod(small["shape"])


def test_a_report_stays_below_its_limit_and_its_json_cannot_end_the_script(tmp_path):
    registration = phantom_registration(shape=(80, 70, 66))
    result = {"fixed": "a</script><b>.nii.gz", "moving": ["m.nii.gz"], "figures": {}}
    result |= {"quality": "ok", "warnings": []}
    write_report(registration, result, tmp_path, most_bytes=2_000_000)
    page = (tmp_path / "report.html").read_text()
    assert len(page.encode()) <= 2_000_000
    found = re.search(r'<script type="application/json" id="viewer-document">(.*?)</script>', page)
    document = json.loads(found[1])
    assert document["fixed"]["name"] == "script><b>.nii.gz"
    assert 50_000 < np.prod(document["shape"]) < registration.pair.fixed.grid.voxels
    assert page.count("<script") == page.count("</script>") == 4
    write_report(registration, result, tmp_path, most_bytes=1_000_000)
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_landmarks_are_where_both_images_show_them(registration):
    grid = registration.pair.fixed.grid
    rows = landmarks(registration, grid)
    points = registration.pair.fixed_points
    assert sorted(int(row["name"]) for row in rows) == list(range(1, len(points) + 1))
    errors = [row["error_mm"][1] for row in rows]
    assert errors == sorted(errors, reverse=True)
    for row in rows:
        fixed = points[int(row["name"]) - 1]
        moving = registration.pair.moving_points[int(row["name"]) - 1]
        assert grid.to_world(torch.tensor([row["fixed"]]))[0].numpy() == pytest.approx(
            fixed.numpy(), abs=0.01
        )
        shown = grid.to_world(torch.tensor([row["after"]]))
        mapped = registration.transform.map_points(shown)[0]
        assert mapped.numpy() == pytest.approx(moving.numpy(), abs=0.02)
        assert row["error_mm"][0] == pytest.approx(float((fixed - moving).norm()), abs=0.002)


def test_labels_are_numbered_and_none_is_lost():
    maps = tuple(
        torch.tensor(values).reshape(1, 1, -1)
        for values in ([0, 7, -3, 500], [7, 7, 0, 9], [0, 9, 9, -3])
    )
    values, codes = label_codes(maps)
    assert values == [-3, 7, 9, 500]
    for volume, numbers in zip(maps, codes, strict=True):
        assert numbers.dtype == np.uint8
        back = np.array([0, *values])[numbers]
        assert np.array_equal(back, volume.numpy())


def test_labels_of_any_size_are_numbered():
    far = torch.tensor([0, 10**12, -(10**15), 5]).reshape(1, 2, 2)
    values, codes = label_codes((far, far, far))
    assert np.array_equal(np.array([0, *values])[codes[1]], far.numpy())


def test_more_than_255_labels_take_two_bytes():
    many = torch.arange(400).reshape(4, 10, 10)
    values, codes = label_codes((many, many, many))
    assert len(values) == 399
    assert np.array_equal(np.array([0, *values], dtype=int)[codes[0]], many.numpy())


def test_the_volume_change_is_coded_by_its_logarithm():
    change = torch.tensor([-0.1, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 100.0]).reshape(2, 2, 2)
    codes = jacobian_codes(change).flatten().tolist()
    assert codes[:2] == [0, 0]
    powers = [(code - 1) / 254 * 4 - 2 for code in codes[2:]]
    assert powers == pytest.approx([-2, -1, 0, 1, 2, 2], abs=0.01)


def test_displacements_are_rounded_to_a_twentieth_of_a_millimetre():
    shift = torch.linspace(-30, 30, 3 * 8).reshape(3, 2, 2, 2)
    step, units = quantised(shift)
    assert step == 0.05
    assert np.abs(units * step - shift.numpy()).max() <= 0.0251
    far, _ = quantised(shift * 1e5)
    assert far == pytest.approx(30e5 / 32767)


def test_a_pair_without_annotations_has_neither_labels_nor_landmarks():
    from dataclasses import replace

    registration = phantom_registration()
    bare = replace(registration.pair, fixed_labels=None, fixed_points=None)
    document = viewer_document(
        replace(registration, pair=bare), {"fixed": "f", "moving": ["m"]}, 1 << 30
    )
    assert document["labels"] is None
    assert document["landmarks"] == []
    assert Grid(document["shape"], torch.tensor(document["affine"])).axis_codes == "RAS"
