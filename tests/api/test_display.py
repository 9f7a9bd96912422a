"""How a registration is shown in a terminal and in a notebook."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
from PIL import Image

import zoo


def test_the_representation_is_one_line_with_model_verdict_and_figure(from_files, tmp_path):
    text = repr(from_files)
    figures = from_files.figures
    assert text.startswith(f"<Registration: mcbo, quality {from_files.quality}, Similarity ")
    assert f"{figures['similarity_before']:.3f} -> {figures['similarity_after']:.3f}" in text
    assert str(from_files.folder) in text
    assert "\n" not in text
    assert repr(zoo.Registration(tmp_path)) == f"<Registration: no result in {tmp_path}>"


def test_a_notebook_shows_verdict_figures_and_the_overlays(pair, from_files):
    html = from_files._repr_html_()
    assert f"quality <b>{from_files.quality}</b>" in html
    assert f"{from_files.figures['similarity_after']:.3f}" in html
    encoded = re.search(r"data:image/jpeg;base64,([^\"]+)", html)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(int)
    before, after = np.array_split(pixels, 2)
    apart = [np.abs(half[..., 0] - half[..., 2]).mean() for half in (before, after)]
    assert apart[1] < apart[0]  # orange and blue agree better


def test_without_its_images_a_registration_is_shown_without_a_picture(from_files, tmp_path):
    from_files.save(tmp_path / "kept")
    result = json.loads((tmp_path / "kept" / "result.json").read_text())
    result |= {"fixed": str(tmp_path / "gone.nii.gz"), "warnings": ["<b>tears</b>"]}
    (tmp_path / "kept" / "result.json").write_text(json.dumps(result))
    html = zoo.Registration(tmp_path / "kept")._repr_html_()
    assert "<img" not in html
    assert "&lt;b&gt;tears&lt;/b&gt;" in html
