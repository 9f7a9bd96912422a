import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from support.report_cases import needs_chromium, phantom_registration, result_of, screenshot

from zoo.reporting import DemoRow, draw_panels, write_demo_report, write_report


@pytest.fixture(scope="module")
def registration():
    return phantom_registration()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, registration):
    out = tmp_path_factory.mktemp("report")
    result = result_of(registration, quality="check", warnings=["It folds & tears in 3 %."])
    result["figures"]["folding_percent"] = 3.0
    write_report(registration, result, out, kind="light")
    return out


def pixels(file):
    return np.asarray(Image.open(file).convert("RGB"))


def test_the_page_embeds_every_strip_and_loads_nothing(folder, registration):
    page = (folder / "report.html").read_text()
    assert not re.findall(r"<script|<link|<iframe|@import|url\(", page)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    strips = [strip for panel in draw_panels(registration) for strip in panel.strips]
    for source, strip in zip(sources, strips, strict=True):
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64"
        assert np.array_equal(pixels(io.BytesIO(base64.b64decode(data))), strip.pixels)


def test_the_contents_of_a_result_are_escaped(folder):
    page = (folder / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(" in page
    assert "&lt;b&gt;far apart&lt;/b&gt;" in page


def test_the_page_shows_figures_warnings_and_how_the_transform_was_made(folder):
    page = (folder / "report.html").read_text()
    words = ("was rigid", "12 mm apart", "11.9 mm", "ab" * 32, "accurate", "12.25", "900", "2.0")
    for word in (
        *words,
        "Dice",
        "Landmark error",
        "HD95",
        "Quality: check",
        "It folds &amp; tears in 3 %.",
    ):
        assert word in page, word


def test_the_picture_shows_the_last_strip_and_the_warning(folder, registration, tmp_path):
    picture = pixels(folder / "report.png")
    last = draw_panels(registration)[-1].strips[-1].pixels
    middle = last[len(last) // 2].tobytes()
    assert any(middle in row.tobytes() for row in picture)
    write_report(registration, result_of(registration), tmp_path, kind="light")
    without_warning = pixels(tmp_path / "report.png")
    assert picture.shape == without_warning.shape
    assert (picture != without_warning).any()


def test_a_result_without_figures_still_gives_a_page(tmp_path, registration):
    result = {"fixed": "a.nii.gz", "moving": ["b.nii.gz", "c.nii.gz"], "figures": {}}
    result |= {"quality": "ok", "warnings": []}
    write_report(registration, result, tmp_path, kind="light")
    page = (tmp_path / "report.html").read_text()
    assert "b.nii.gz + c.nii.gz" in page
    assert 'class="warnings"' not in page


def test_the_demo_page_lists_registrations_and_what_is_wrong_with_them(tmp_path, registration):
    panels = draw_panels(registration)[1:2]
    result = result_of(registration)
    rows = [
        DemoRow("two <heads>", "mcbo", "regzoo register", "", result, panels),
        DemoRow("two <heads>", "unireg", note="the scan is missing"),
    ]
    write_demo_report(rows, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "the scan is missing" in page
    assert page.count("two &lt;heads&gt;") >= 3
    assert page.count("data:image/png;base64,") == 2
    assert '<td class="number">12.2</td>' in page


@needs_chromium
@pytest.mark.parametrize("width", [1200, 390])
def test_chromium_shows_the_report_with_all_its_pictures(folder, tmp_path, width):
    page = screenshot(folder / "report.html", tmp_path, width)
    coloured = page.max(axis=2) - page.min(axis=2) > 40  # overlays, differences, Jacobian
    black = page.max(axis=2) < 12  # backgrounds of the pictures
    assert black.mean() > 0.08
    assert coloured.mean() > 0.01
    assert (page[:, :4] == 255).all()  # nothing extends into the margin
    assert (page[:, width - 4 :] == 255).all()
