"""Every shipped bundle goes to the Hub and back, and registers as it does in the package."""

import nibabel as nib
import numpy as np
import pytest
from support.command_line import run
from support.hub_cases import finish

from zoo.hub.bundles import bundle_folder, bundle_names
from zoo.hub.push import plan_push, push
from zoo.io.volume import write_volume
from zoo.synthesis.phantom import make_pair

SMALL = ["--set", "size=[40,40,40]", "--set", "refine=0"]
SETTINGS = {
    "mcbo": [],
    "unigradicon": SMALL,
    "multigradicon": SMALL,
    "unireg": [*SMALL[:2], "--set", "region=brain", "--set", "type=inter"],
}
DOWNLOAD = """
import sys, monai.bundle
monai.bundle.download(name=sys.argv[1], source="huggingface_hub", repo="me/" + sys.argv[1],
                      bundle_dir=sys.argv[2], progress=False)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    made = make_pair(3, shape=(40, 44, 36), contrasts=("t1", "t1"))
    for name in ("fixed", "moving"):
        write_volume(folder / f"{name}.nii.gz", getattr(made, name), getattr(made, f"{name}_grid"))
    return folder / "fixed.nii.gz", folder / "moving.nii.gz"


@pytest.mark.parametrize("model", bundle_names())
def test_a_shipped_bundle_from_the_hub_registers_as_the_one_of_the_package(
    hub_here, user, images, model, tmp_path
):
    push(plan_push(str(bundle_folder(model))), f"me/{model}")
    code, _, error = finish(user.python("-c", DOWNLOAD, model, str(tmp_path / "got")))
    assert code == 0, error
    fields = []
    for bundle in (bundle_folder(model), tmp_path / "got" / model):
        out = tmp_path / f"result{len(fields)}"
        options = ["--bundle", bundle, "--device", "cpu", "--report=false", *SETTINGS[model]]
        assert run("register", *images, "--out", out, *options) == 0
        fields.append(np.asanyarray(nib.load(out / "transform.nii.gz").dataobj))
    assert np.ptp(fields[0]) > 1
    np.testing.assert_array_equal(*fields)
