"""`regzoo fingerprint` writes a fingerprint that `regzoo plan` reads."""

import json

import pytest
from support.command_line import refusal, run


@pytest.mark.parametrize("lost", ["pairs", "anatomy", "pairing", "content"])
def test_a_fingerprint_with_a_missing_part_is_refused(data, tmp_path, lost, capsys):
    path = tmp_path / "fingerprint.json"
    assert run("fingerprint", data, "-o", path) == 0
    document = json.loads(path.read_text())
    del document[lost]
    path.write_text(json.dumps(document))
    assert f"{path} is incomplete" in refusal(capsys, "plan", path, "--explain")
