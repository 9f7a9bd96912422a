"""The demo registers its pair with models that suit it, and never with compact weights."""

from pathlib import Path

import demo

import zoo.hub.weights


def test_a_model_with_compact_weights_only_is_named_and_not_run(monkeypatch):
    def fail(*_args, **_kwargs):
        raise AssertionError("the model ran")

    monkeypatch.setattr(demo.subprocess, "run", fail)
    row = demo.run_model("unireg", {}, Path("nowhere"))
    assert row.result is None
    assert "needs the official weights; run `regzoo pull unireg`" in row.note
    assert zoo.hub.weights.variants_here()["unireg"] == "compact"
