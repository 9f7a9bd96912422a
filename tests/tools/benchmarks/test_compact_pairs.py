"""Figures of weights on real pairs: what is printed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from benchmarks import compact_pairs
from benchmarks.harness.pairs import phantom_pairs
from benchmarks.harness.zoo_methods import Judged

from zoo.errors import UserError


def test_each_pair_and_weights_file_has_a_line(tmp_path, monkeypatch, capsys):
    (pair,) = phantom_pairs(tmp_path, [24], 0)
    monkeypatch.setattr(compact_pairs, "data_pairs", lambda _folder: [pair])
    asked = []

    def model(pair, name, weights, refine):
        asked.append((name, weights, refine, pair.anatomy))
        if name == "unireg":
            raise UserError("unsuitable")
        return Judged(np.load(pair.truth), "ok", name)

    monkeypatch.setattr(compact_pairs, "model", model)
    words = [
        "--data",
        str(tmp_path),
        "--anatomy",
        "head",
        "x=start",
        "unigradicon=a.safetensors",
        "unireg=compact",
    ]
    monkeypatch.setattr(sys, "argv", ["compact_pairs", *words])
    compact_pairs.main()
    start, exact, unsuitable = capsys.readouterr().out.splitlines()
    assert asked == [
        ("unigradicon", "a.safetensors", 0, "head"),
        ("unireg", "compact", 0, "head"),
    ]
    assert "'epe_mm': 0.0" in exact
    assert float(start.split("'epe_mm': ")[1].split(",")[0]) == pytest.approx(
        np.linalg.norm(np.load(pair.truth), axis=-1).mean(), abs=1e-3
    )
    assert unsuitable == "phantom_24 unireg=compact unsuitable"
