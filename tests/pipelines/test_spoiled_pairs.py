"""A registration of a spoiled pair is not called ok, and the result and the command say why."""

import json

import pytest
from benchmarks.harness.spoiled_pairs import cases
from support.command_line import run

from zoo.io.volume import write_volume

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

KINDS = {
    "header turned by 90 degrees": "is rotated by 90 degrees",
    "mirrored header": "is mirrored along the",
    "units x10": "too large by a factor of 10",
    "scale x3": "too large by a factor of 3",
    "noise": "than unrelated images would",
    "half black": "",  # empty, or folded at the edge of what is left
    "another patient": "than unrelated images would",
}
"""The faults that the verdict must find, and what one of its sentences says."""
SPOILED = {case.kind: case for case in cases(1) if case.kind in KINDS}
GOOD = next(case for case in cases(1) if not case.spoiled)


def registered(case, folder, capsys):
    """Register a case with the command; return result.json and what was printed on stderr."""
    pair = case.make()
    for name, volume in (("fixed", pair.fixed), ("moving", pair.moving[0])):
        write_volume(folder / f"{name}.nii.gz", volume.data, volume.grid)
    words = ["register", folder / "fixed.nii.gz", folder / "moving.nii.gz", "--report=false"]
    words += ["--out", folder / "out", "--model", "mcbo", "--set", "fluid=never"]
    assert run(*words, "--device", "cpu") == 0
    return json.loads((folder / "out" / "result.json").read_text()), capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoiled_pair_is_reported_with_its_sign(kind, tmp_path, capsys):
    result, printed = registered(SPOILED[kind], tmp_path, capsys)
    assert result["quality"] != "ok"
    assert any(KINDS[kind] in warning for warning in result["warnings"])
    for warning in result["warnings"]:
        assert f"regzoo: quality {result['quality']}: {warning}" in printed


def test_a_good_pair_has_no_warning(tmp_path, capsys):
    result, printed = registered(GOOD, tmp_path, capsys)
    assert (result["quality"], result["warnings"]) == ("ok", [])
    assert "quality" not in printed
