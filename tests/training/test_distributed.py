"""Two processes under torchrun give the losses of one process with twice the batch size."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from support.train_cases import train_config, write_images
from torch import nn

from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.runtime.bundle import run_bundle
from zoo.training.distributed import (
    data_parallel,
    join_processes,
    mean_over_processes,
    process_count,
    process_rank,
)
from zoo.training.tables import read_rows


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    write_images(root, cases=(1, 2), shape=(16, 24, 16))
    return root


def settings(images, out, **more):
    return {
        "dataset_dir": str(images),
        "output_dir": str(out),
        "weights": "scratch",
        "region": "abdomen",
        "type": "inter",
        "affine": "none",
        "size": [16, 24, 16],
        "epochs": 2,
        "epoch_length": 2,
        "learning_rate": 0.01,
        "bar": False,
    } | more


def command_for_two(images, out, **more):
    """Return the command that trains in two processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    configs = json.dumps(train_config("unireg", "multi_gpu_train.yaml"))
    options = {"config_file": configs, **settings(images, out, **more)}
    words = [str(w) for k, v in options.items() for w in (f"--{k}", v)]
    return [sys.executable, *launch, "-m", "monai.bundle", "run", *words]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(command):
    result = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=900)
    assert result.returncode == 0, result.stderr[-3000:]


def losses(folder):
    return [row["loss"] for row in read_rows(folder / "train" / "losses.csv")]


@pytest.fixture(scope="module")
def alone(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    in_one(images, out)
    return out


def in_one(images, out):
    """Train in this process, with twice the batch size."""
    device = "$torch.device('cpu')"
    overrides = settings(images, out, batch_size=2, epochs=3, device=device)
    run_bundle(bundle_folder("unireg"), overrides, ["train.yaml"])


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_with_twice_the_batch_and_resume(
    images, alone, tmp_path
):
    """With UniReg, because the statistics of batch norm would differ between processes."""
    run(command_for_two(images, tmp_path, epochs=1))
    assert losses(tmp_path) == pytest.approx(losses(alone)[:2], rel=1e-5)
    run(command_for_two(images, tmp_path))
    assert losses(tmp_path) == pytest.approx(losses(alone)[:4], rel=1e-5)
    in_one(images, tmp_path)  # by now differences of rounding have grown
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=5e-3)
    assert len(set(losses(alone))) == 6
    assert (tmp_path / "configs" / "inference.json").is_file()


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_is_reported(images, tmp_path):
    command = command_for_two(images, tmp_path, epochs=2000)
    job = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        started = time.monotonic()
        while not (tmp_path / "train" / "losses.csv").exists():
            assert job.poll() is None, job.stderr.read()[-3000:]
            assert time.monotonic() - started < 600
            time.sleep(0.2)
        workers = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(job.pid)], capture_output=True, text=True
        )
        os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
        _, error = job.communicate(timeout=600)
    finally:
        job.kill()
    assert job.returncode != 0
    assert "Signal 9 (SIGKILL) received by PID" in error


def test_without_torchrun_the_error_says_how_to_start(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="torchrun --nproc_per_node"):
        join_processes()


def test_a_single_process_needs_no_process_group():
    module = nn.Linear(1, 1)
    assert data_parallel(module) is module
    assert (process_rank(), process_count()) == (0, 1)
    assert mean_over_processes(torch.tensor([2.0])) == 2
