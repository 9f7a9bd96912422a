"""The description of Slurm jobs, and the signals that workers get."""

import multiprocessing
import signal
import threading
from multiprocessing import resource_tracker

import pytest

from zoo import UserError
from zoo.cohorts import clusters
from zoo.cohorts.clusters import _interrupts_deferred, make_slurm_cluster, quiet_dask

SLURM = """
queue: gpu
account: brain
walltime: "12:00:00"
job_cpu: 8
interface: lo
job_extra_directives: ["--gpus=1"]
job_script_prologue: ["module load cuda", "source ~/regzoo/bin/activate"]
worker_extra_args: ["--lifetime", "11h"]
scheduler_options: {dashboard_address: "127.0.0.1:0"}
"""


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "slurm.yaml"
        path.write_text(text)
        return path

    return write


def test_the_job_script_has_what_the_file_and_the_memory_model_say(config):
    with quiet_dask(), make_slurm_cluster(config(SLURM), 4096) as cluster:
        script = cluster.job_script().splitlines()
    for line in (
        "#SBATCH -p gpu", "#SBATCH -A brain", "#SBATCH -t 12:00:00", "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=8", "#SBATCH --mem=5G", "#SBATCH --gpus=1", "module load cuda",
    ):  # fmt: skip
        assert line in script
    command = script[-1]
    assert "--nthreads 2 " in command
    assert "--memory-limit 5.00GiB" in command
    assert "--lifetime 11h" in command
    assert script.index("module load cuda") < len(script) - 1


@pytest.mark.parametrize(
    ("text", "need", "message"),
    [
        ("wallteim: 1h", None, r"'wallteim' is not a setting.*did you mean walltime"),
        ("cores: 8", None, "'cores' is not a setting of --cluster slurm"),
        ("queue: cpu", None, "write the memory of a job"),
        ("- queue", None, "contains a list"),
        ("memory: a lot", None, "the cluster cannot be set up"),
        ("interface: none0", 1024, "the cluster cannot be set up"),
    ],
)
def test_a_file_that_describes_no_jobs_is_refused(config, text, need, message):
    with quiet_dask(), pytest.raises(UserError, match=message):
        make_slurm_cluster(config(text), need)


def test_workers_that_do_not_start_are_reported(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Worker failed to start.")

    monkeypatch.setattr(clusters, "SpecCluster", refuse)
    with (
        pytest.raises(UserError, match=r"2 workers did not start \(Worker failed to start"),
        clusters.local_cluster([{}, {}], 1 << 30),
    ):
        pass


def test_processes_of_a_cluster_do_not_see_ctrl_c():
    """As in a cluster, the process is started by a thread, also after the block."""
    exit_codes = []
    started = threading.Event()

    def start():
        started.wait()
        child = multiprocessing.get_context("spawn").Process(
            target=signal.raise_signal, args=(signal.SIGINT,)
        )
        child.start()
        child.join()
        exit_codes.append(child.exitcode)

    resource_tracker._resource_tracker._stop()
    with _interrupts_deferred():
        thread = threading.Thread(target=start)
        thread.start()
    started.set()
    thread.join()
    assert exit_codes == [0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
