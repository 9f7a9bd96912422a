"""Change a module in one place at a time and count the changes that its tests notice.

    PYTHONPATH=tools python tools/mutation.py zoo/geometry/orientation.py
    PYTHONPATH=tools python tools/mutation.py zoo/io/points.py --tests tests/io/test_points.py

cosmic-ray makes the changes (`uv tool install cosmic-ray`, or `pip install cosmic-ray` in an
environment of its own); it must be on the path. It works on a copy of the checkout. The tests are
those that mirror the module, unless --tests names others. They run in forks of a process that has
imported torch already, so that a change costs a second; Linux and macOS only. The score and the
survivors are printed. Unions such as `int | None` are left alone, because nothing evaluates an
annotation.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("zoo", "bundles", "tests", "tools", "docs", "pyproject.toml", "README.md")
CONFIG = """\
[cosmic-ray]
module-path = "{module}"
timeout = {timeout}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*"]
"""


TIMEOUT = 120
"""Seconds after which the tests of one change are stopped; it counts as noticed."""

MARKS = ("+++", "---")  # of the file names in a diff


@dataclass(frozen=True)
class Mutant:
    """One change: the operator of cosmic-ray, its line, and whether a test failed."""

    operator: str
    line: int
    killed: bool
    diff: str


def mirrored_tests(module: str) -> str:
    """Return the test file of a module of `zoo/`, or the folder of tests if there is none."""
    path = Path("tests") / Path(module).relative_to("zoo")
    file = path.with_name(f"test_{path.name}")
    return (file if (ROOT / file).exists() else file.parent).as_posix()


def mutants(dump: str) -> list[Mutant]:
    """Return the changes that were tried from the output of `cosmic-ray dump`."""
    found = []
    for line in dump.splitlines():
        item, result = json.loads(line)
        if result is None or result["worker_outcome"] == "skipped":
            continue
        change: dict[str, Any] = item["mutations"][0]
        killed = result["test_outcome"] != "survived"
        place = change["start_pos"][0]
        found.append(Mutant(change["operator_name"], place, killed, result.get("diff") or ""))
    return found


def report(module: str, tried: list[Mutant], seconds: float) -> str:
    """Return the score and the survivors as text."""
    killed = sum(mutant.killed for mutant in tried)
    share = f"{100 * killed / len(tried):.0f} %" if tried else "none"
    lines = [f"{module}: {killed} of {len(tried)} mutants killed ({share}), {seconds:.0f} s"]
    for mutant in tried:
        if not mutant.killed:
            changed = [t for t in mutant.diff.splitlines() if t[:1] in "+-" and t[:3] not in MARKS]
            lines += ["", f"line {mutant.line}, {mutant.operator}", *changed]
    return "\n".join(lines)


def mutate(module: str, tests: str) -> list[Mutant]:
    """Try every change of a module, in a copy of the checkout."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "checkout"
        for name in COPIED:
            source = ROOT / name
            ignored = shutil.ignore_patterns("__pycache__")
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                copy.mkdir(exist_ok=True)
                shutil.copy(source, copy / name)
        environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [sys.executable, __file__, "--serve", str(copy / "tests.socket"), tests]
        server = subprocess.Popen(words, cwd=copy, env=environment, stdout=subprocess.DEVNULL)
        try:
            return run_cosmic_ray(module, copy, environment)
        finally:
            server.terminate()
            server.wait()


def run_cosmic_ray(module: str, copy: Path, environment: dict[str, str]) -> list[Mutant]:
    """Try every change of a module in the checkout `copy`, whose tests are being served."""

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=copy, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    command = f"{sys.executable} {__file__} --ask {copy / 'tests.socket'} zoo"
    run(*command.split())  # the tests pass without a change
    config = CONFIG.format(module=module, timeout=TIMEOUT + 60, command=command)
    (copy / "mutation.toml").write_text(config, encoding="utf-8")
    run("cosmic-ray", "init", "mutation.toml", "mutation.sqlite")
    run("cr-filter-operators", "mutation.sqlite", "mutation.toml")
    run("cosmic-ray", "exec", "mutation.toml", "mutation.sqlite")
    return mutants(run("cosmic-ray", "dump", "mutation.sqlite"))


def serve(address: str, tests: str) -> None:
    """Run the tests once for each connection, in a fork, and send their exit code."""
    import nibabel  # noqa: F401
    import pytest
    import scipy.ndimage  # noqa: F401
    import torch  # noqa: F401

    with Listener(address, "AF_UNIX") as listener:
        while True:
            with listener.accept() as connection:
                child = os.fork()
                if child == 0:
                    words = ["-x", "-q", "-p", "no:cacheprovider", tests]
                    os._exit(int(pytest.main(words)))
                limit = threading.Timer(TIMEOUT, os.kill, (child, signal.SIGKILL))
                limit.start()
                _, status = os.waitpid(child, 0)
                limit.cancel()
                connection.send(os.waitstatus_to_exitcode(status))


def ask(address: str) -> int:
    """Return the exit code of the tests, from the process that serves them."""
    for _ in range(600):
        if Path(address).exists():
            break
        time.sleep(0.2)
    with Client(address, "AF_UNIX") as connection:
        return abs(int(connection.recv()))


def main() -> int:
    """Run the command line and return the exit code: 1 if fewer than --least percent are killed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("module", help="a module of zoo/, from the root of the checkout")
    parser.add_argument("--tests", help="the tests that should notice the changes")
    parser.add_argument("--serve", metavar="SOCKET", help=argparse.SUPPRESS)
    parser.add_argument("--ask", metavar="SOCKET", help=argparse.SUPPRESS)
    parser.add_argument("--least", type=float, default=0, help="the lowest score, in percent")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.module)
    if arguments.ask:
        return ask(arguments.ask)
    if not (ROOT / arguments.module).is_file():
        parser.error(f"{arguments.module} is not a file of this checkout")
    if shutil.which("cosmic-ray") is None:
        parser.error("cosmic-ray is not on the path; install it with `uv tool install cosmic-ray`")
    started = time.monotonic()
    tried = mutate(arguments.module, arguments.tests or mirrored_tests(arguments.module))
    print(report(arguments.module, tried, time.monotonic() - started))
    return int(sum(m.killed for m in tried) * 100 < arguments.least * len(tried))


if __name__ == "__main__":
    sys.exit(main())
