"""`--bids` writes the results of register and align as a BIDS derivative."""

import json

import pytest
from support.command_line import refusal, run

import zoo
from zoo.api import Registration
from zoo.handlers.output_files import previous_outputs
from zoo.io.transforms import read_transform
from zoo.io.volume import read_volume, write_volume
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

TRANSFORM = "sub-01/anat/sub-01_from-T2w_to-T1w_mode-image_xfm"
WARPED = "sub-01/anat/sub-01_space-T1w_desc-registered_T2w"


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two phantoms with BIDS names."""
    folder = tmp_path_factory.mktemp("raw") / "sub-01" / "anat"
    folder.mkdir(parents=True)
    pair = make_pair(2, shape=(18, 20, 16), spacing=(4, 4, 4), contrasts=("t1", "t2"))
    write_volume(folder / "sub-01_T1w.nii.gz", pair.fixed, pair.fixed_grid)
    write_volume(folder / "sub-01_T2w.nii.gz", pair.moving, pair.moving_grid)
    return folder / "sub-01_T1w.nii.gz", folder / "sub-01_T2w.nii.gz"


def test_register_writes_a_derivative(scans, tmp_path, capsys):
    out = tmp_path / "derivatives" / "sub-01"
    words = ["--out", out, "--device", "cpu", "--affine", "none", "--report=false", "--inverse"]
    assert run("register", *scans, *words, "--bids", "--format", "both") == 0
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    inverse = "sub-01/anat/sub-01_from-T1w_to-T2w_mode-image_xfm"
    images = {f"{name}{end}" for name in (TRANSFORM, inverse) for end in (".nii.gz", ".h5")}
    named = images | {f"{WARPED}.nii.gz", f"{WARPED}.json", "dataset_description.json"}
    assert files == named | {"result.json", "plan.json", ".bidsignore"}
    description = json.loads((out / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"] == [{"Name": "regzoo", "Version": zoo.__version__}]
    assert (out / ".bidsignore").read_text().split() == ["plan.json", "result.json"]
    result = json.loads((out / "result.json").read_text())
    assert set(result["files"]) == files
    registration = Registration(out)
    grid = read_volume(scans[0]).grid
    assert registration.transform.grid.same_as(grid, 0.01)
    assert registration.inverse is not None
    assert registration.save(tmp_path / "copy") == tmp_path / "copy"
    assert (tmp_path / "copy" / f"{WARPED}.nii.gz").is_file()
    assert previous_outputs(out) == files  # the next registration replaces them all


def test_align_writes_a_derivative(scans, tmp_path, capsys):
    assert run("align", *scans, tmp_path / "out", "--bids") == 0
    assert read_transform(tmp_path / "out" / f"{TRANSFORM}.txt").field is None
    assert read_volume(tmp_path / "out" / f"{WARPED}.nii.gz").grid.same_as(
        read_volume(scans[0]).grid
    )
    assert (tmp_path / "out" / "dataset_description.json").is_file()


def test_a_dataset_of_others_and_other_names_are_refused(scans, tmp_path, capsys):
    (tmp_path / "dataset_description.json").write_text("{}")
    for words in (("register", *scans, "--out", tmp_path), ("align", *scans, tmp_path)):
        assert "belongs to another dataset" in refusal(capsys, *words, "--bids")
    root = scans[0].parents[2]
    warped = scans[0].with_name("sub-01_space-T1w_desc-registered_T2w.nii.gz")
    warped.write_bytes(scans[1].read_bytes())
    error = refusal(capsys, "register", scans[0], warped, "--out", root, "--bids")
    assert "would be overwritten" in error
    other = tmp_path / "t2.nii.gz"
    other.write_bytes(scans[1].read_bytes())
    error = refusal(capsys, "register", scans[0], other, "--out", tmp_path / "out", "--bids")
    assert "t2.nii.gz is not a BIDS name" in error
    assert (tmp_path / "dataset_description.json").read_text() == "{}"
