"""Child processes: each measurement has one of its own, so that its peak memory is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class ChildError(Exception):
    """A child process failed or took too long; the message says why in one line."""


def environment(threads: int | None = None, **variables: str) -> dict[str, str]:
    """Return the environment of a child that imports this checkout and uses so many threads."""
    path = os.pathsep.join([str(ROOT / "tools"), str(ROOT)])
    limits = {} if threads is None else dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, "PYTHONPATH": path, **limits, **variables}


def call(
    function: str,
    arguments: Mapping[str, Any],
    *,
    threads: int,
    python: str = sys.executable,
    timeout: float | None = None,
    variables: Mapping[str, str] | None = None,
) -> Any:
    """Call a function in a new process and return its result.

    `function` is written "module:name". Its keyword arguments and its result are JSON values, and
    paths among them are absolute: the process runs in a temporary folder, because some peers leave
    files behind. `python` is the path of its interpreter, `timeout` is in seconds, and `variables`
    are added to its environment.
    """
    interpreter = Path(python).absolute()  # a relative path would be lost with the folder
    command = [str(interpreter), "-m", "benchmarks.harness.child", function]
    with tempfile.TemporaryDirectory() as folder:
        try:
            process = subprocess.run(
                command,
                input=json.dumps(arguments),
                env=environment(threads, **(variables or {})),
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise ChildError(f"took longer than {timeout:g} s") from None
    _require_success(process)
    return json.loads(process.stdout.strip().splitlines()[-1])


def run_regzoo(words: Sequence[str]) -> str:
    """Run a `regzoo` command of this checkout and return its standard output."""
    process = subprocess.run(
        [sys.executable, "-m", "zoo", *words], env=environment(), capture_output=True, text=True
    )
    _require_success(process)
    return process.stdout


def _require_success(process: subprocess.CompletedProcess[str]) -> None:
    if process.returncode:
        last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise ChildError(f"exit status {process.returncode}: {last_line}")
