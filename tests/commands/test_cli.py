import subprocess
import sys

import nibabel
import numpy as np
import pytest
import torch

from zoo import __version__, cli
from zoo.errors import UserError
from zoo.geometry import Transform
from zoo.io.transforms import read_transform, write_transform
from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair


def record(
    first: str,
    second: str = "b",
    *,
    count: int = 1,
    ratio: float | None = None,
    switch: bool = False,
    set_: list[str] | None = None,
    part: dict[str, str] | None = None,
) -> None:
    """Stand in for a command.

    Args:
        first: one.
        count: how many.
    """


def bound(*words):
    arguments = cli.parse(record, list(words)).arguments
    return {name: value for name, value in arguments.items() if value != "b"}


def test_values_become_what_the_annotations_say():
    assert bound("a", "--count", "3", "--ratio=-0.5", "--switch") == {
        "first": "a",
        "count": 3,
        "ratio": -0.5,
        "switch": True,
    }


def test_a_positional_that_looks_like_a_number_stays_text():
    assert bound("007", "1e5") == {"first": "007", "second": "1e5"}


def test_commas_and_brackets_stay_text():
    assert bound("a,b", "[1]") == {"first": "a,b", "second": "[1]"}


def test_a_switch_does_not_swallow_the_next_word():
    assert bound("--switch", "a") == {"first": "a", "switch": True}


def test_a_value_may_begin_with_a_minus_sign():
    assert bound("a", "--ratio", "-3")["ratio"] == -3


def several(first: str, *others: str, out: str | None = None) -> int:
    """Stand in for a command that takes any number of files."""
    return len(others) + 10 * (out is not None)


def test_a_command_may_take_any_number_of_words():
    assert cli.parse(several, ["a"])() == 0
    assert cli.parse(several, ["a", "b", "--out", "x", "c"])() == 12


def test_repeatable_flags_are_collected():
    assert bound("a", "--set", "x=1", "--set", "y=2")["set_"] == ["x=1", "y=2"]
    assert bound("a", "--part.0", "ct", "--part.1=mr")["part"] == {"0": "ct", "1": "mr"}


def test_one_letter_stands_for_the_flag_that_begins_with_it():
    assert bound("a", "-c", "4")["count"] == 4


def test_one_letter_does_not_mean_a_positional():
    assert cli.parse(several, ["a", "-o", "x"]).arguments["out"] == "x"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "needs FIRST"),
        (("a", "--cuont", "3"), "did you mean --count"),
        (("a", "--count"), "--count needs a value"),
        (("a", "--count", "--switch"), "--count needs a value"),
        (("a", "--count", "many"), "whole number, not 'many'"),
        (("a", "--count", "1.5"), "whole number"),
        (("a", "--ratio", "x"), "a number"),
        (("a", "--switch=maybe"), "true or false"),
        (("a", "--count", "1", "--count", "2"), "given twice"),
        (("a", "b", "c"), "cannot take 'c'"),
        (("a", "--part", "x"), "no flag --part"),
        (("a", "--count.0", "x"), "no flag --count.0"),
        (("a", "--", "--help"), "no flag"),
    ],
)
def test_misuse_is_said_in_one_line(words, said):
    with pytest.raises(UserError, match=said):
        bound(*words)


def test_a_name_that_is_no_text_is_said_in_one_line(tmp_path, capsys):
    name = str(tmp_path / "a\udcff.nii.gz")
    assert cli.run(["register", name, name, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "is not UTF-8; rename the file" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_nothing_runs_before_every_flag_is_checked(tmp_path, capsys):
    out = tmp_path / "out.nii.gz"
    code = cli.run(["convert", "a.h5", str(out), "--too", "itk-nifti"])
    assert code == 2
    assert "did you mean --to?" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words, capsys):
    assert cli.run(words) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.names())


@pytest.mark.parametrize("name", cli.names())
def test_every_command_explains_each_of_its_arguments_and_shows_an_example(name, capsys):
    import inspect

    assert cli.run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"regzoo {name}" in out.partition("Examples:")[2]
    for parameter in inspect.signature(cli.find(name)).parameters.values():
        shown = (
            cli._flag(parameter.name)
            if parameter.kind == parameter.KEYWORD_ONLY
            else parameter.name
        )
        assert f"    {shown}: " in out.partition("Args:")[2], shown


@pytest.mark.parametrize("name", cli.names())
def test_the_examples_in_the_help_parse(name, capsys):
    import shlex

    cli.run([name, "--help"])
    block = capsys.readouterr().out.partition("Examples:")[2].partition("Args:")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip().startswith("regzoo ")]
    assert lines
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        cli.parse(cli.find(words[0]), words[1:])


def test_version(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"regzoo {__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys):
    assert cli.run(["wrap"]) == 2
    assert "did you mean warp?" in capsys.readouterr().err


def test_python_m_zoo_is_the_same_command():
    out = subprocess.run([sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True)
    assert (out.returncode, out.stdout) == (0, f"regzoo {__version__}\n")


def test_help_does_not_import_torch():
    code = "import sys, zoo.cli; zoo.cli.run(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A phantom pair on unequal oblique grids, with its true transform, in files."""
    folder = tmp_path_factory.mktemp("pair")
    pair = make_pair(
        4,
        shape=(30, 26, 22),
        spacing=(2, 2.5, 3),
        axes="LPS",
        tilt_degrees=20,
        moving_axes="SAR",
        moving_shape=(24, 32, 28),
        moving_spacing=(3, 2, 2.2),
    )
    write_volume(folder / "fixed.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(folder / "moving.nii.gz", pair.moving, pair.moving_grid, torch.int16)
    write_volume(folder / "labels.nii.gz", pair.moving_labels, pair.moving_grid)
    write_transform(folder / "t.nii.gz", pair.truth, pair.fixed_grid)
    np.savetxt(folder / "points.csv", pair.fixed_points.numpy(), delimiter=",")
    return folder, pair


def run(*words):
    return cli.run([str(word) for word in words])


def test_warp_writes_the_image_on_the_fixed_grid(files, tmp_path):
    folder, pair = files
    out = tmp_path / "warped.nii.gz"
    assert run("warp", folder / "moving.nii.gz", folder / "t.nii.gz", out) == 0
    warped = read_volume(out)
    assert warped.grid.same_as(pair.fixed_grid)
    assert warped.data.dtype == torch.int16
    inside = pair.fixed_labels > 0
    before = (pair.fixed - pair.fixed[inside].mean())[inside].abs().mean()
    assert (warped.data - pair.fixed)[inside].abs().median() < 0.5 * before


def test_warp_keeps_labels_whole(files, tmp_path):
    folder, pair = files
    out = tmp_path / "labels.nii.gz"
    code = run(
        "warp",
        folder / "labels.nii.gz",
        folder / "t.nii.gz",
        out,
        "--labels",
        "--fixed",
        folder / "moving.nii.gz",
    )
    assert code == 0
    assert nibabel.load(out).get_data_dtype() == np.uint8
    assert read_volume(out).grid.same_as(pair.moving_grid)


def test_points_go_forward_and_back(files, tmp_path):
    folder, pair = files
    there, again = tmp_path / "moving.csv", tmp_path / "fixed.csv"
    assert run("points", folder / "points.csv", folder / "t.nii.gz", there, "--space", "ras") == 0
    mapped = np.loadtxt(there, delimiter=",", skiprows=1)
    assert np.abs(mapped - pair.moving_points.numpy()).max() < 0.3
    assert run("points", there, folder / "t.nii.gz", again, "--space", "ras", "--back") == 0
    back = np.loadtxt(again, delimiter=",", skiprows=1)
    assert np.abs(back - pair.fixed_points.numpy()).max() < 1e-3


def test_points_in_voxels_and_in_lps_are_the_same_places(files, tmp_path):
    folder, pair = files
    images = ("--fixed", folder / "fixed.nii.gz", "--moving", folder / "moving.nii.gz")
    voxels = pair.fixed_grid.to_index(pair.fixed_points)
    np.savetxt(tmp_path / "v.csv", voxels.numpy(), delimiter=",")
    run(
        "points",
        tmp_path / "v.csv",
        folder / "t.nii.gz",
        tmp_path / "vo.csv",
        "--space",
        "voxel",
        *images,
    )
    np.savetxt(tmp_path / "l.csv", pair.fixed_points.numpy() * [-1, -1, 1], delimiter=",")
    run("points", tmp_path / "l.csv", folder / "t.nii.gz", tmp_path / "lo.csv", "--space", "lps")
    from_voxels = pair.moving_grid.to_world(
        torch.from_numpy(np.loadtxt(tmp_path / "vo.csv", delimiter=",", skiprows=1))
    )
    from_lps = np.loadtxt(tmp_path / "lo.csv", delimiter=",", skiprows=1) * [-1, -1, 1]
    assert np.abs(from_voxels.numpy() - from_lps).max() < 1e-3


def test_jacobian_prints_what_it_writes(files, tmp_path, capsys):
    folder, _ = files
    out = tmp_path / "j.nii.gz"
    assert run("jacobian", folder / "t.nii.gz", out) == 0
    assert "folding: 0 % of voxels" in capsys.readouterr().out
    assert 0.1 < read_volume(out).data.min() < read_volume(out).data.max() < 3


def test_convert_keeps_the_map(files, tmp_path):
    folder, pair = files
    images = ("--fixed", folder / "fixed.nii.gz", "--moving", folder / "moving.nii.gz")
    steps = [
        (folder / "t.nii.gz", tmp_path / "a.h5", ()),
        (tmp_path / "a.h5", tmp_path / "b.nii.gz", ("--to", "learn2reg", *images)),
        (tmp_path / "b.nii.gz", tmp_path / "c.nii.gz", images),
    ]
    for source, out, more in steps:
        assert run("convert", source, out, *more) == 0
    apart = read_transform(tmp_path / "c.nii.gz").field - pair.truth.field
    assert apart.abs().max() < 1e-3


def test_info_tells_volumes_transforms_and_points_apart(files, capsys):
    folder, _ = files
    for name in ("moving.nii.gz", "t.nii.gz", "points.csv"):
        assert run("info", folder / name) == 0
    out = capsys.readouterr().out
    assert "volume, 24x32x28, 3x2x2.2 mm, SAR" in out
    assert "transform (itk-nifti), fixed -> moving" in out
    assert "77 points" in out


def test_an_affine_transform_asks_for_the_fixed_image(files, tmp_path, capsys):
    folder, _ = files
    write_transform(tmp_path / "a.tfm", Transform.identity(), None)
    out = tmp_path / "w.nii.gz"
    assert run("warp", folder / "moving.nii.gz", tmp_path / "a.tfm", out) == 2
    assert "--fixed" in capsys.readouterr().err
    assert not out.exists()
    assert (
        run(
            "warp",
            folder / "moving.nii.gz",
            tmp_path / "a.tfm",
            out,
            "--fixed",
            folder / "fixed.nii.gz",
        )
        == 0
    )


def test_align_finds_a_shift(files, tmp_path, capsys):
    folder, pair = files
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([12.0, -9.0, 6.0])
    write_volume(tmp_path / "far.nii.gz", pair.moving, pair.moving_grid.moved(shift))
    out = tmp_path / "a.tfm"
    assert (
        run("align", folder / "moving.nii.gz", tmp_path / "far.nii.gz", out, "--affine", "rigid")
        == 0
    )
    found = read_transform(out).affine
    assert (found - shift).abs()[:3, 3].max() < 1
