import re

import numpy as np
import pytest
from PIL import Image
from support.report_cases import needs_chromium, phantom_registration, screenshot

from zoo.evaluation.metrics import measure
from zoo.reporting.panels import draw_panels
from zoo.reporting.report import DemoRow, affine_start_words, write_demo_report, write_report

NASTY = "<script>alert('1')</script>&.nii.gz"


def result_of(registration, **more):
    measured = measure(registration.pair, registration.transform)
    return {
        "fixed": f"data/{NASTY}",
        "moving": ["data/moving.nii.gz"],
        "model": "mcbo",
        "weights": {"sha256": "ab" * 32},
        "plan": {"affine": {"value": "rigid", "rule": "r1", "because": "<b>far apart</b>"}},
        "settings": {"mode": "accurate", "levels": [6, 4], "rigid": False},
        "affine_start": {"kind": "rigid", "reason": "12 mm apart", "shift_mm": 11.9},
        "figures": measured.figures,
        "labels": measured.labels,
        "seconds": {"deformation": 12.25},
        "peak_memory_mib": 900,
        "versions": {"torch": "2.0"},
        **more,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    registration = phantom_registration()
    out = tmp_path_factory.mktemp("report")
    result = result_of(registration)
    result["figures"]["folding_percent"] = 3.0
    write_report(registration, result, out)
    return out


def test_the_page_needs_nothing_but_itself(folder):
    page = (folder / "report.html").read_text()
    assert not re.findall(r"<script|<link|<iframe|@import|url\(", page)
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 13
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_whatever_a_result_says_is_escaped(folder):
    page = (folder / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(" in page
    assert "&lt;b&gt;far apart&lt;/b&gt;" in page


def test_the_page_tells_how_the_map_was_made(folder):
    page = (folder / "report.html").read_text()
    words = ("rigid start", "12 mm apart", "11.9 mm", "ab" * 32, "accurate", "12.25", "900", "2.0")
    for word in (*words, "Dice", "Landmark error", "HD95", "The map folds in 3 %"):
        assert word in page, word


def test_the_picture_is_there_and_not_blank(folder):
    picture = np.asarray(Image.open(folder / "report.png"))
    assert picture.shape[0] > 1500
    rows = picture.reshape(10, -1)[:, : picture.size // 10] if picture.size % 10 == 0 else None
    assert picture.std() > 40
    assert rows is None or (rows.std(axis=1) > 10).all()


def test_a_result_with_little_to_tell_still_gives_a_page(tmp_path):
    registration = phantom_registration()
    result = {"fixed": "a.nii.gz", "moving": ["b.nii.gz", "c.nii.gz"], "figures": {}}
    write_report(registration, result, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "b.nii.gz + c.nii.gz" in page
    assert 'class="warnings"' not in page


def test_the_affine_start_is_told_in_words():
    none = {"affine_start": {"kind": "none", "reason": "aligned already"}}
    assert affine_start_words(none) == "No affine start was used: aligned already."
    assert affine_start_words({}) == ""


def test_the_demo_page_lists_models_that_ran_and_those_that_need_weights(tmp_path):
    registration = phantom_registration()
    panels = draw_panels(registration)[1:2]
    rows = [
        DemoRow("mcbo", result=result_of(registration), panels=panels),
        DemoRow("unireg", "needs weights: regzoo pull unireg"),
    ]
    write_demo_report(rows, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "needs weights: regzoo pull unireg" in page
    assert page.count("data:image/png;base64,") == 2
    assert '<td class="number">12.2</td>' in page


@needs_chromium
@pytest.mark.parametrize("width", [1200, 390])
def test_chromium_shows_the_report_with_all_its_pictures(folder, tmp_path, width):
    page = screenshot(folder / "report.html", tmp_path, width)
    coloured = page.max(axis=2) - page.min(axis=2) > 60  # overlays, differences, Jacobian
    black = page.max(axis=2) < 12  # grounds of the pictures
    assert black.mean() > 0.08
    assert coloured.mean() > 0.03
    assert (page[:, :4] == 255).all()  # nothing runs over the margin
    assert (page[:, width - 4 :] == 255).all()
