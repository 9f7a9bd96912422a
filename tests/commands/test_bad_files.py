"""Every kind of bad file, given to the command that would read it: one line, exit 2, no file."""

import pytest
from support.bad_files import BAD_FILES, good_image, save

from zoo import cli

COMMANDS = {
    "volume": lambda bad, good, out: ["warp", bad, good, out, "--fixed", good],
    "labels": lambda bad, good, out: ["warp", bad, good, out, "--labels"],
    "points": lambda bad, good, out: ["points", bad, good, out, "--space", "ras"],
    "transform": lambda bad, good, out: ["convert", bad, out],
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_one_line_and_nothing_written(name, tmp_path, capsys):
    bad = BAD_FILES[name]
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = bad.make(tmp_path / "in")
    good = save(tmp_path, good_image(), "good.nii.gz")
    out = tmp_path / "out" / ("mapped.csv" if bad.kind == "points" else "written.nii.gz")
    code = cli.run(list(map(str, COMMANDS[bad.kind](path, good, out))))
    error = capsys.readouterr().err
    assert code == 2
    assert error.count("\n") == 1
    assert error.startswith("regzoo: ")
    assert "Traceback" not in error
    assert not list((tmp_path / "out").iterdir())
