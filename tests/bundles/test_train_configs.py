"""The training config of every bundle is data, passes the checks of MONAI, and trains."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from monai.bundle import ConfigWorkflow
from support.train_cases import SMALL, train_config, write_images

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.foreign_bundles import BundleData, read_bundle
from zoo.hub.weights import read_weights_header
from zoo.planning.evidence import UserOptions
from zoo.planning.plan import make_plan
from zoo.runtime.bundle import run_bundle
from zoo.training.tables import read_rows

LEARNED = ["unigradicon", "multigradicon", "unireg"]
ALL = [*LEARNED, "mcbo"]
CPU = {"device": "$torch.device('cpu')", "bar": False}
TINY = {"weights": "scratch", "size": [16, 24, 16], "region": "abdomen", "type": "inter"}
TINY |= {"affine": "none"}  # the initial alignment takes longer than the steps


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, shape=(20, 24, 18))
    return root


def train(model, images, out, configs=(), **settings):
    overrides = {"dataset_dir": str(images), "output_dir": str(out), **CPU, **settings}
    run_bundle(bundle_folder(model), overrides, ["train.yaml", *configs])


def losses(out):
    return [row["loss"] for row in read_rows(out / "train" / "losses.csv")]


@pytest.mark.parametrize("model", ALL)
def test_the_workflow_has_the_properties_that_monai_checks_without_data_or_weights(
    model, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    configs = bundle_folder(model) / "configs"
    workflow = ConfigWorkflow(
        config_file=train_config(model),
        meta_file=str(configs / "metadata.json"),
        logging_file=str(configs / "logging.conf"),
        workflow_type="train",
        bar=False,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.max_epochs > 0
    for name in ("evaluator", "val_inferer", "val_interval", "train_handlers"):
        assert model == "mcbo" or getattr(workflow, name) is not None


@pytest.mark.parametrize("model", ALL)
def test_a_copy_of_a_packaged_bundle_is_data(model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(bundle_folder(model), copy)
    weights = copy / "models" / "model_compact.safetensors" if model in LEARNED else None
    assert read_bundle(copy).data == BundleData(model, {}, weights)


@pytest.mark.parametrize("model", ALL)
def test_training_configs_hold_data_and_only_short_expressions(model):
    for path in (bundle_folder(model) / "configs").glob("*train.yaml"):
        for text in strings(yaml.safe_load(path.read_text())):
            assert len(text) <= 100, f"{path}: {text}"
            assert "dict(" not in text, f"{path}: {text}"


def strings(value):
    """Yield all strings in a config."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from strings(part)
    elif isinstance(value, str):
        yield value


def test_all_models_train_in_several_processes_alike():
    """The configs of multigradicon are generated from those of unigradicon."""
    one, other = (bundle_folder(m) / "configs/multi_gpu_train.yaml" for m in LEARNED[::2])
    assert one.read_text() == other.read_text()


@pytest.mark.slow
def test_gradicon_trains_with_a_plan_by_monai_bundle_run_and_resumes(images, tmp_path):
    """A run of one epoch, resumed for a second, has the losses of a run of two epochs."""
    plan = tmp_path / "plan.json"
    options = UserOptions(
        anatomy="abdomen", pairing="inter", model="unigradicon", accept_guess=True
    )
    document = make_plan(fingerprint(images), options)
    plan.write_text(json.dumps(document))
    words = [f"--config_file={json.dumps([*train_config('unigradicon'), str(plan)])}"]
    settings = {**SMALL, "affine": "none", "epochs": 1, "output_dir": tmp_path / "one"}
    words += [f"--{name}={value}" for name, value in settings.items()]
    result = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    train("unigradicon", images, tmp_path / "one", [plan], **SMALL, affine="none")
    train("unigradicon", images, tmp_path / "two", [plan], **SMALL, affine="none")
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    assert len(set(losses(tmp_path / "one"))) == 2
    metadata = json.loads((tmp_path / "one/configs/metadata.json").read_text())["trained"]
    assert metadata["data"]["content"] == document["plan"]["content"]
    assert metadata["steps"] == 2
    assert read_weights_header(tmp_path / "one/models/model.safetensors").width() == 2


def fingerprint(images):
    from zoo.datasets.reading import read_dataset
    from zoo.planning.fingerprint import take_fingerprint

    return take_fingerprint(read_dataset(images)).document


def test_a_plan_whose_dataset_changed_trains_nothing(images, tmp_path):
    root = tmp_path / "images"
    shutil.copytree(images, root)
    plan = tmp_path / "plan.json"
    options = UserOptions(anatomy="abdomen", pairing="inter", model="unireg", accept_guess=True)
    plan.write_text(json.dumps(make_plan(fingerprint(root), options)))
    document = json.loads((root / "dataset.json").read_text())
    document["training"] = document["training"][:-1]
    (root / "dataset.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="changed since its plan"):
        train("unireg", root, tmp_path / "out", [plan], **TINY)
    assert not list(tmp_path.glob("out/**/*.safetensors"))


@pytest.mark.slow
def test_unireg_trains_in_two_stages_on_several_tasks(images, tmp_path):
    train("unireg", images, tmp_path / "one", **TINY, stage=1, epochs=1, epoch_length=3)
    first = tmp_path / "one/models/model.safetensors"
    sources = [
        {
            "_target_": "zoo.training.task_source",
            "folder": str(images),
            "region": region,
            "size": [16, 24, 16],
            "weight": weight,
            "affine": "none",
        }
        for region, weight in (("abdomen", 2), ("brain", 1))
    ]
    settings = TINY | {"weights": str(first), "train_sources": sources}
    train("unireg", images, tmp_path / "two", **settings, epochs=1, epoch_length=6)
    assert len(losses(tmp_path / "two")) == 6
    from zoo.hub.weights import load_weights

    one, two = load_weights(first), load_weights(tmp_path / "two/models/model.safetensors")
    controllers = [name for name in one if name.endswith("controller.weight")]
    assert all((one[name] == 0).all() for name in controllers)
    changed = [not (two[name] == 0).all() for name in controllers]
    best = json.loads((tmp_path / "two/configs/metadata.json").read_text())["trained"]["best_step"]
    assert all(changed) == (best > 0)


def test_unireg_needs_the_region(images, tmp_path):
    with pytest.raises(UserError, match="the region of the pair"):
        train("unireg", images, tmp_path, **(TINY | {"region": None}))


@pytest.mark.slow
def test_bfloat16_gives_almost_the_losses_of_float32(images, tmp_path):
    # PyTorch's bfloat16 gradient of a convolution on 2 x 3 x 2 voxels reads uninitialised memory.
    larger = TINY | {"size": [24, 24, 24], "epochs": 1, "epoch_length": 2}
    train("unireg", images, tmp_path / "a", **larger)
    train("unireg", images, tmp_path / "b", **larger, precision="bfloat16")
    one, two = losses(tmp_path / "a"), losses(tmp_path / "b")
    assert one != two
    assert two == pytest.approx(one, rel=0.02)


@pytest.mark.slow
def test_accumulated_gradients_are_those_of_the_larger_batch(images, tmp_path):
    rate = {"learning_rate": 0.01, "clip": None, "epochs": 1}
    train("unireg", images, tmp_path / "a", **TINY, **rate, epoch_length=2, batch_size=2)
    train("unireg", images, tmp_path / "b", **TINY, **rate, epoch_length=4, accumulation=2)
    one, two = losses(tmp_path / "a"), losses(tmp_path / "b")
    assert one == pytest.approx([(two[0] + two[1]) / 2, (two[2] + two[3]) / 2], rel=1e-5)
