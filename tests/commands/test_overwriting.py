"""No command writes over one of its inputs, also through links."""

import shutil

import pytest
from support.command_line import refusal


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize(
    ("description", "file", "command"),
    [
        ("the moving image", "moving.nii.gz", "warp {input} t.nii.gz {output}"),
        ("the transform", "t.nii.gz", "warp moving.nii.gz {input} {output}"),
        ("--fixed", "fixed.nii.gz", "warp moving.nii.gz t.nii.gz {output} --fixed {input}"),
        ("the transform", "t.nii.gz", "convert {input} {output}"),
        ("--moving", "moving.nii.gz", "convert t.nii.gz {output} --moving {input}"),
        ("the transform", "t.nii.gz", "jacobian {input} {output}"),
        ("--mask", "labels.nii.gz", "jacobian t.nii.gz {output} --mask {input}"),
        ("the points", "points.csv", "points {input} t.nii.gz {output} --space ras"),
        ("the transform", "t.nii.gz", "points points.csv {input} {output} --space ras"),
        ("the fixed image", "fixed.nii.gz", "align {input} moving.nii.gz {output}"),
        ("the moving image", "moving.nii.gz", "align fixed.nii.gz {input} a.tfm --warped {output}"),
    ],
)
def test_an_input_is_not_overwritten(
    files, tmp_path, monkeypatch, capsys, description, file, command, linked
):
    folder, _ = files
    for path in folder.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    output = f"link-{file}" if linked else file
    if linked:
        (tmp_path / output).symlink_to(file)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    error = refusal(capsys, *command.format(input=file, output=output).split())
    assert f"{description} ({file}) would be overwritten, because the output {output} is" in error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_explain_refuses_to_write_over_an_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inter_abdomen").mkdir()
    image = tmp_path / "inter_abdomen" / "warped.nii.gz"
    image.write_text("an image")
    conditions = ["--condition", "inter:abdomen", "--condition", "intra:liver"]
    error = refusal(capsys, "explain", "fixed.nii.gz", image, "--out", tmp_path, *conditions)
    assert f"the moving image ({image}) would be overwritten" in error
    assert image.read_text() == "an image"
