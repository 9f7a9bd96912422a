"""Every bundle of the package passes the checks of MONAI and runs by `monai.bundle run`."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out

from zoo import __version__, cli
from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.io.transforms import read_transform
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

SCHEMA = json.loads((Path(__file__).parent / "bundle_schema.json").read_text())


@pytest.fixture(params=bundle_names())
def bundle(request):
    return bundle_folder(request.param)


def metadata(bundle):
    return json.loads((bundle / "configs" / "metadata.json").read_text())


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "configs/metadata.json",
        "configs/inference.json",
        "configs/evaluate.json",
        "configs/logging.conf",
        "docs/README.md",
    ],
)
def test_a_bundle_has_the_files_that_monai_requires(bundle, name):
    assert (bundle / name).stat().st_size > 0


def test_the_metadata_is_valid_under_the_schema(bundle):
    jsonschema.Draft202012Validator(SCHEMA).validate(metadata(bundle))


def test_monai_accepts_the_metadata(bundle, tmp_path):
    schema = tmp_path / "schema.json"  # MONAI downloads the schema only if this file is missing
    schema.write_text(json.dumps(SCHEMA))
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_the_metadata_names_the_present_versions(bundle):
    document = metadata(bundle)
    assert document["version"] in document["changelog"]
    assert document["required_packages_version"]["regzoo"] == __version__


@pytest.mark.parametrize("overlay", [[], ["evaluate.json"]])
def test_the_workflow_has_all_properties_that_monai_requires(bundle, overlay):
    configs = bundle / "configs"
    workflow = ConfigWorkflow(
        config_file=[str(configs / name) for name in ["inference.json", *overlay]],
        meta_file=str(configs / "metadata.json"),
        logging_file=str(configs / "logging.conf"),
        workflow_type="infer",
    )
    workflow.initialize()
    assert workflow.check_properties() == []


def test_the_network_has_the_input_and_output_of_the_metadata(bundle):
    configs = bundle / "configs"
    verify_net_in_out(
        net_id="network_def",
        config_file=str(configs / "inference.json"),
        meta_file=str(configs / "metadata.json"),
        device="cpu",
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a pair ünder test")
    made = make_pair(2, shape=(40, 44, 36), axes="LPS", tilt_degrees=10, moving_axes="RAS")
    write_volume(folder / "a.nii.gz", made.fixed, made.fixed_grid)
    write_volume(folder / "b.nii.gz", made.moving, made.moving_grid)
    return folder, made


@pytest.mark.slow
def test_monai_bundle_run_from_any_folder_gives_the_result_of_regzoo(pair, tmp_path):
    folder, made = pair
    config = bundle_folder("mcbo") / "configs" / "inference.json"
    images = [str(folder / "a.nii.gz"), str(folder / "b.nii.gz")]
    words = ["--config_file", str(config), "--fixed", images[0], "--moving", images[1]]
    words += ["--output_dir", str(tmp_path / "one"), "--device", "cpu", "--report", "False"]
    command = [sys.executable, "-m", "monai.bundle", "run", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out = str(tmp_path / "two")
    assert cli.run(["register", *images, "--out", out, "--device", "cpu", "--report=false"]) == 0
    one, two = (read_transform(tmp_path / k / "transform.nii.gz") for k in ("one", "two"))
    assert torch.equal(one.field, two.field)
    body = made.fixed_labels > 0
    before = made.truth.field.norm(dim=0)[body].mean()
    assert (one.field - made.truth.field).norm(dim=0)[body].mean() < 0.5 * before


@pytest.mark.parametrize("name", ["unigradicon", "multigradicon", "unireg"])
def test_the_error_for_missing_weights_says_how_to_get_them(
    name, pair, tmp_path, capsys, monkeypatch
):
    folder, _ = pair
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    code = cli.run(
        [
            *("register", str(folder / "a.nii.gz"), str(folder / "b.nii.gz")),
            *("--model", name, "--out", str(tmp_path / "out"), "--weights", "official"),
            *("--anatomy", "abdomen", "--pairing", "inter"),
        ]
    )
    error = capsys.readouterr().err
    assert code == 2
    assert f"regzoo pull {name}" in error
    assert "--weights" in error
    assert not list(tmp_path.glob("out/*.nii.gz"))
