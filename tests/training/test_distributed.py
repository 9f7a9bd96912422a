"""Two processes under torchrun give the losses of one process with twice the batch size."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

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

TESTS = Path(__file__).resolve().parents[1]


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


class Launcher:
    """A process that starts trainings in two processes each."""

    def __init__(self, log):
        paths = [str(TESTS), str(TESTS.parent)]
        threads = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.two_processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def start(self, images, out, **more):
        configs = json.dumps(train_config("unireg", "multi_gpu_train.yaml"))
        options = {"config_file": configs, **settings(images, out, **more)}
        words = ["run", *(str(w) for k, v in options.items() for w in (f"--{k}", v))]
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def error(self):
        """Wait until the training has ended, and return the error of torchrun or None."""
        ready, _, _ = select.select([self.process.stdout], [], [], 900)
        line = self.process.stdout.readline() if ready else ""
        assert line, self.log.read_text()[-3000:]
        return json.loads(line)

    def run(self, images, out, **more):
        self.start(images, out, **more)
        error = self.error()
        assert error is None, self.log.read_text()[-3000:]


@pytest.fixture(scope="module")
def launcher(tmp_path_factory):
    launcher = Launcher(tmp_path_factory.mktemp("launcher") / "log.txt")
    yield launcher
    launcher.process.kill()
    launcher.process.communicate()


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
    images, alone, launcher, tmp_path
):
    """With UniReg, because the statistics of batch norm would differ between processes."""
    launcher.run(images, tmp_path, epochs=1)
    assert losses(tmp_path) == pytest.approx(losses(alone)[:2], rel=1e-5)
    launcher.run(images, tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(alone)[:4], rel=1e-5)
    in_one(images, tmp_path)  # by now differences of rounding have grown
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=5e-3)
    assert len(set(losses(alone))) == 6
    assert (tmp_path / "configs" / "inference.json").is_file()


@pytest.mark.slow
def test_a_killed_process_ends_the_job_and_is_reported(images, launcher, tmp_path):
    launcher.start(images, tmp_path, epochs=2000)
    started = time.monotonic()
    while not (tmp_path / "train" / "losses.csv").exists():
        assert launcher.process.poll() is None, launcher.log.read_text()[-3000:]
        assert time.monotonic() - started < 600
        time.sleep(0.2)
    workers = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(launcher.process.pid)], capture_output=True, text=True
    )
    os.kill(int(workers.stdout.split()[-1]), signal.SIGKILL)
    assert "Signal 9 (SIGKILL) received by PID" in launcher.error()


def test_without_torchrun_the_error_says_how_to_start(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="torchrun --nproc_per_node"):
        join_processes()


def test_a_single_process_needs_no_process_group():
    module = nn.Linear(1, 1)
    assert data_parallel(module) is module
    assert (process_rank(), process_count()) == (0, 1)
    assert mean_over_processes(torch.tensor([2.0])) == 2
