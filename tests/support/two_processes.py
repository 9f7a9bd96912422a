"""Run `monai.bundle` commands in two processes each, which torchrun's launcher starts.

Each line of standard input is a JSON list with the words of one command. Its two processes are
forks of this one, which has imported MONAI already, because that takes longer than a small
training. When the command has ended, its error is printed as a line of JSON, null if there is none.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import uuid

import monai.bundle
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import zoo.training  # noqa: F401 - imported once, for all commands


def work(words: list[str]) -> None:
    """Do in this process what `python -m monai.bundle WORDS` does."""
    sys.argv = [monai.bundle.__name__, *words]
    runpy.run_module("monai.bundle", run_name="__main__")


def launch(words: list[str]) -> str | None:
    """Run a command as `torchrun --standalone --nproc_per_node=2` does; return its error."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
    )
    try:
        elastic_launch(config, work)(words)
    except ChildFailedError as error:
        return str(error)
    return None


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the commands print does not get among the answers
    for line in sys.stdin:
        print(json.dumps(launch(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
