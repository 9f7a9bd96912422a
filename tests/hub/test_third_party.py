"""A MONAI user with the built wheel and no checkout: download, run, load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from zoo.hub.push import plan_push, push
from zoo.io.volume import write_volume
from zoo.networks import UniReg
from zoo.synthesis.phantom import make_pair

ROOT = Path(__file__).resolve().parents[2]

ROUTE = """
import json, sys
from pathlib import Path
import monai.bundle, nibabel as nib, numpy as np, torch
import zoo
assert Path(zoo.__file__).is_relative_to(sys.argv[1]), zoo.__file__

place, pair = "their bundles", json.loads(sys.argv[2])
monai.bundle.download(name="unireg", source="huggingface_hub", repo="me/unireg", version="0.1.0",
                      bundle_dir=place, progress=False)
monai.bundle.run(config_file=f"{place}/unireg/configs/inference.json",
                 bundle_root=f"{place}/unireg", output_dir="result", size=[16, 8, 8],
                 region="abdomen", type="inter", affine="none", report=False, bar=False, **pair)

network = monai.bundle.load(name="unireg", bundle_dir=place, workflow_type="inference",
                            model_file="models/model.safetensors", source="huggingface_hub",
                            repo="me/unireg", load_ts_module=False)
images = [nib.load(pair[side]).get_fdata(dtype=np.float32) for side in ("moving", "fixed")]
image = torch.stack([torch.from_numpy(x) / x.max() for x in images])[None]
network.eval()
with torch.no_grad():
    displacement = network(image, type="inter", region="abdomen")
np.save("displacement.npy", displacement.numpy())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel built from this checkout, installed in a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, str(ROOT)], check=True)
    (wheel,) = folder.glob("regzoo-*.whl")
    site = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    return site


@pytest.fixture
def files(tmp_path):
    pair = make_pair(2, shape=(16, 8, 8), tilt_degrees=10, contrasts=("ct", "ct"))
    paths = {}
    for side in ("fixed", "moving"):
        paths[side] = str(tmp_path / f"{side} é.nii.gz")
        write_volume(paths[side], getattr(pair, side), getattr(pair, f"{side}_grid"))
    return paths


@pytest.mark.slow
def test_download_run_and_load_work_with_the_wheel_alone(
    installed, files, hub_here, user, tmp_path
):
    torch.manual_seed(0)
    state = {k: v + 0.02 * torch.randn_like(v) for k, v in UniReg().state_dict().items()}
    bundle = shutil.copytree(installed / "zoo" / "bundles" / "unireg", tmp_path / "unireg")
    (bundle / "models").mkdir(exist_ok=True)
    save_file(state, bundle / "models" / "model.safetensors", {"width": "8"})
    push(plan_push(str(bundle)), "me/unireg", tag="0.1.0")

    theirs = tmp_path / "their home"
    theirs.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ROUTE, str(installed), json.dumps(files)],
        cwd=theirs,
        env=user.environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((theirs / "result" / "result.json").read_text())["model"] == "unireg"

    network = UniReg().eval()
    network.load_state_dict(state)
    images = [_voxels(files[side]) for side in ("moving", "fixed")]
    with torch.no_grad():
        expected = network(torch.stack(images)[None], type="inter", region="abdomen")
    found = np.load(theirs / "displacement.npy")
    assert np.abs(found).max() > 0.1  # voxels: it did deform
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_the_command_of_the_wheel_registers_without_the_checkout(installed, files, tmp_path):
    words = ["register", files["fixed"], files["moving"], "--model", "mcbo", "--affine", "none"]
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *words, "--out", "out ü"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )  # HOME is not set
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out ü" / "report.html").exists()


def _voxels(path: str) -> torch.Tensor:
    import nibabel as nib

    data = nib.load(path).get_fdata(dtype=np.float32)
    return torch.from_numpy(data) / data.max()
