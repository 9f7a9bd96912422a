"""Shipped and fine-tuned bundles go to the Hub and back, and register as they did before."""

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
from support.command_line import run
from support.train_cases import write_images

from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.own_models import RECORD_VARIABLE
from zoo.hub.push import plan_push, push
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

NO_AFFINE = ["--set", "affine=none"]
SMALL = ["--set", "size=[40,40,40]", "--set", "refine=0", *NO_AFFINE]
SETTINGS = {
    "mcbo": NO_AFFINE,
    "unigradicon": SMALL,
    "multigradicon": SMALL,
    "unireg": [*SMALL[:2], *NO_AFFINE, "--set", "region=brain", "--set", "type=inter"],
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    made = make_pair(3, shape=(40, 44, 36), contrasts=("t1", "t1"))
    for name in ("fixed", "moving"):
        write_volume(folder / f"{name}.nii.gz", getattr(made, name), getattr(made, f"{name}_grid"))
    return folder / "fixed.nii.gz", folder / "moving.nii.gz"


@pytest.mark.slow
@pytest.mark.parametrize("model", bundle_names())
def test_a_shipped_bundle_from_the_hub_registers_as_the_one_of_the_package(
    hub_here, images, model, tmp_path
):
    got = there_and_back(bundle_folder(model), model, tmp_path)
    options = ["--device", "cpu", "--report=false", *SETTINGS[model]]
    fields = []
    for bundle in (bundle_folder(model), got):
        out = tmp_path / f"result{len(fields)}"
        assert run("register", *images, "--out", out, "--bundle", bundle, *options) == 0
        fields.append(field_of(out))
    assert np.ptp(fields[0]) > 1
    np.testing.assert_array_equal(*fields)


@pytest.mark.slow
def test_a_fine_tuned_bundle_from_the_hub_registers_as_before_without_trust(
    hub_here, images, tmp_path, monkeypatch
):
    """By regzoo and by `monai.bundle run`, both from the folder and from the Hub."""
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path / "models.json"))
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "data", shape=(20, 24, 18), paired=True)
    small = ["--set", "size=[16,24,16]", "--set", "affine=none", "--device", "cpu"]
    planned = ["--model", "unireg", "--anatomy", "abdomen", "--pairing", "inter"]
    assert run("plan", "data", *planned, "-o", "plan.json") == 0
    trained = ["--from", "compact", "--steps", "2", *small]
    assert run("finetune", "plan.json", "--out", "tuned", *trained) == 0
    got = there_and_back(tmp_path / "tuned", "tuned", tmp_path)
    fields = []
    for bundle in (tmp_path / "tuned", got):
        out = tmp_path / f"regzoo{len(fields)}"
        words = ["register", *images, "--out", out, "--bundle", bundle, *small, "--report=false"]
        assert run(*words) == 0
        monai.bundle.run(
            config_file=str(bundle / "configs" / "inference.json"),
            bundle_root=str(bundle),
            fixed=str(images[0]),
            moving=str(images[1]),
            output_dir=str(tmp_path / f"monai{len(fields)}"),
            size=[16, 24, 16],
            affine="none",
            report=False,
            bar=False,
        )
        fields += [field_of(out), field_of(tmp_path / f"monai{len(fields)}")]
    assert np.ptp(fields[0]) > 0
    for field in fields[1:]:
        np.testing.assert_array_equal(fields[0], field)


def there_and_back(bundle, name, tmp_path):
    """Push a bundle, download it with MONAI, and return its folder."""
    push(plan_push(str(bundle)), f"me/{name}")
    monai.bundle.download(
        name=name,
        source="huggingface_hub",
        repo=f"me/{name}",
        bundle_dir=str(tmp_path / "got"),
        progress=False,
    )
    return tmp_path / "got" / name


def field_of(folder):
    return np.asanyarray(nib.load(folder / "transform.nii.gz").dataobj)
