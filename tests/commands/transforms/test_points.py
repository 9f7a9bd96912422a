"""`regzoo points` maps landmarks in any of the coordinate systems."""

import json

import numpy as np
import torch
from support.command_line import refusal, run


def test_points_go_forward_and_back(files, tmp_path):
    folder, pair = files
    there, again = tmp_path / "moving.csv", tmp_path / "fixed.csv"
    assert run("points", folder / "points.csv", folder / "t.nii.gz", there, "--space", "ras") == 0
    mapped = np.loadtxt(there, delimiter=",")
    assert np.abs(mapped - pair.moving_points.numpy()).max() < 0.3
    assert run("points", there, folder / "t.nii.gz", again, "--space", "ras", "--back") == 0
    back = np.loadtxt(again, delimiter=",")
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
        torch.from_numpy(np.loadtxt(tmp_path / "vo.csv", delimiter=","))
    )
    from_lps = np.loadtxt(tmp_path / "lo.csv", delimiter=",") * [-1, -1, 1]
    assert np.abs(from_voxels.numpy() - from_lps).max() < 1e-3


def test_markups_come_back_as_markups(files, tmp_path, capsys):
    folder, pair = files
    points = (pair.fixed_points.numpy() * [-1, -1, 1]).tolist()
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "controlPoints": [{"label": f"P-{k}", "position": p} for k, p in enumerate(points)],
    }
    source, out = tmp_path / "a.mrk.json", tmp_path / "b.mrk.json"
    source.write_text(json.dumps({"markups": [markup]}))
    assert run("points", source, folder / "t.nii.gz", out) == 0
    written = json.loads(out.read_text())["markups"][0]["controlPoints"]
    assert [p["label"] for p in written] == [f"P-{k}" for k in range(len(points))]
    mapped = np.array([p["position"] for p in written]) * [-1, -1, 1]
    assert np.abs(mapped - pair.moving_points.numpy()).max() < 0.3
    words = ("points", source, folder / "t.nii.gz")
    assert "records its coordinate space" in refusal(capsys, *words, out, "--space", "ras")
    assert "must end in .json" in refusal(capsys, *words, tmp_path / "b.fcsv")
    words = ("points", folder / "points.csv", folder / "t.nii.gz", tmp_path / "b.csv")
    assert "add --space" in refusal(capsys, *words)


def test_points_go_through_a_chain_and_back(files, tmp_path):
    folder, _ = files
    chain = ("-t", folder / "t.nii.gz", "-t", f"inverse:{folder / 't.nii.gz'}", "--space", "ras")
    originals = np.loadtxt(folder / "points.csv", delimiter=",")
    for more in ((), ("--back",)):
        assert run("points", folder / "points.csv", tmp_path / "same.csv", *chain, *more) == 0
        same = np.loadtxt(tmp_path / "same.csv", delimiter=",")
        assert np.abs(same - originals).max() < 1e-3


def test_points_outside_the_field_are_reported(files, tmp_path, capsys):
    folder, pair = files
    inside = pair.fixed_grid.to_world(torch.tensor([[1.0, 2, 3], [29, 25, 21]]).double())
    far = torch.cat([inside, torch.tensor([[900.0, 0, 0]])])
    np.savetxt(tmp_path / "p.csv", far.numpy(), delimiter=",")
    words = ["points", tmp_path / "p.csv", folder / "t.nii.gz", tmp_path / "o.csv"]
    assert run(*words, "--space", "ras") == 0
    assert "1 of 3 points lie outside the grid" in capsys.readouterr().err
    assert run(*words, "--space", "ras", "--back") == 0
    assert "outside" not in capsys.readouterr().err
