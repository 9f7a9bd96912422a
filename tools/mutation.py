"""Change modules in one place at a time and count the changes that their tests notice.

    PYTHONPATH=tools python tools/mutation.py zoo/geometry/orientation.py
    PYTHONPATH=tools python tools/mutation.py zoo/io --sample 100 --seed 1
    PYTHONPATH=tools python tools/mutation.py zoo/io/points --tests tests/io/test_peers.py

cosmic-ray makes the changes (`uv tool install cosmic-ray`, or `pip install cosmic-ray` in an
environment of its own); it must be on the path. It works on a copy of the checkout. With --sample,
so many changes are drawn at random from all of them. The tests are those that mirror the changed
module, and then, unless --mirrored is given, those of the whole folder, without the slow ones;
--tests names others. They run in forks of a process that has imported torch already; Linux and
macOS only. The score of each module and the survivors are printed. Unions such as `int | None` are
left alone, because nothing evaluates an annotation.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("zoo", "bundles", "tests", "tools", "docs", "pyproject.toml", "README.md")
CONFIG = """\
[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = "{command}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*"]
"""


PROCESSOR_SECONDS = 200
"""After which the tests of one change are stopped; the change counts as noticed."""

TIMEOUT = 1200
"""The same in seconds by the clock, for tests that wait without using the processor."""

IMPORTED_ONCE = (
    *(
        "torch",
        "scipy.ndimage",
        "scipy.optimize",
        "numba",
        "nibabel",
        "SimpleITK",
        "pydicom",
        "h5py",
    ),
    *("monai.data", "monai.metrics", "monai.bundle", "hypothesis", "pytest"),
)
"""Libraries imported before the tests, which run in forks and import zoo anew."""

PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:unraisableexception", "-m", "not slow")
"""Options without the plugins that take longer than the tests of many a module."""

MARKS = ("+++", "---")  # of the file names in a diff


@dataclass(frozen=True)
class Mutant:
    """One change: its module, the operator of cosmic-ray, its line, and whether a test failed."""

    module: str
    operator: str
    line: int
    killed: bool
    diff: str


@dataclass(frozen=True)
class Sample:
    """How many changes are drawn at random, all of them if None, and the seed of the draw."""

    size: int | None
    seed: int


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
        diff = result.get("diff") or ""
        found.append(Mutant(change["module_path"], change["operator_name"], place, killed, diff))
    return sorted(found, key=lambda mutant: (mutant.module, mutant.line, mutant.operator))


def score(name: str, tried: list[Mutant]) -> str:
    """Return one line with how many of these changes were noticed."""
    killed = sum(mutant.killed for mutant in tried)
    share = f"{100 * killed / len(tried):.0f} %" if tried else "none"
    return f"{name}: {killed} of {len(tried)} mutants killed ({share})"


def report(name: str, tried: list[Mutant], seconds: float) -> str:
    """Return the score of each module and of all together, and the survivors, as text."""
    modules = sorted({mutant.module for mutant in tried})
    lines = [score(module, [m for m in tried if m.module == module]) for module in modules]
    if modules != [name]:
        lines.append(score(name, tried))
    lines.append(f"{seconds:.0f} s")
    for mutant in tried:
        if not mutant.killed:
            changed = [t for t in mutant.diff.splitlines() if t[:1] in "+-" and t[:3] not in MARKS]
            lines += ["", f"{mutant.module}, line {mutant.line}, {mutant.operator}", *changed]
    return "\n".join(lines)


def modules_below(path: str) -> list[str]:
    """Return a module, or the modules of a folder except those that only re-export names."""
    if (ROOT / path).is_file():
        return [path]
    found = sorted((ROOT / path).rglob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in found if file.name != "__init__.py"]


def mutate(
    modules: list[str], tests: str | None, sample: Sample, *, mirrored: bool = False
) -> list[Mutant]:
    """Try the changes of some modules, in a copy of the checkout."""
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
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        program = str(copy / "tools" / "mutation.py")
        words = [sys.executable, program, "--serve", str(copy / "tests.socket"), *modules]
        words += [*(["--tests", tests] if tests else []), *(["--mirrored"] if mirrored else [])]
        server = subprocess.Popen(words, cwd=copy, env=environment, stdout=subprocess.DEVNULL)
        try:
            tried = run_cosmic_ray(modules, copy, environment, sample)
            if server.poll() is not None:  # each later change would count as noticed
                raise RuntimeError("the process that runs the tests has ended; see above")
            return tried
        finally:
            server.terminate()
            server.wait()


def run_cosmic_ray(
    modules: list[str], copy: Path, environment: dict[str, str], sample: Sample
) -> list[Mutant]:
    """Try the changes of modules in the checkout `copy`, whose tests are being served."""

    def run(*words: str) -> str:
        done = subprocess.run(
            words, cwd=copy, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    program = copy / "tools" / "mutation.py"
    command = f"{sys.executable} {program} --ask {copy / 'tests.socket'} zoo"
    run(*command.split())  # the tests pass without a change
    config = CONFIG.format(modules=json.dumps(modules), timeout=TIMEOUT + 60, command=command)
    (copy / "mutation.toml").write_text(config, encoding="utf-8")
    run("cosmic-ray", "init", "mutation.toml", "mutation.sqlite")
    run("cr-filter-operators", "mutation.sqlite", "mutation.toml")
    keep_sample(copy / "mutation.sqlite", sample)
    run("cosmic-ray", "exec", "mutation.toml", "mutation.sqlite")
    return mutants(run("cosmic-ray", "dump", "mutation.sqlite"))


def keep_sample(session: Path, sample: Sample) -> None:
    """Remove the changes from a session of cosmic-ray that are not in the sample."""
    with closing(sqlite3.connect(session)) as database, database:
        rows = database.execute(
            "select job_id from mutation_specs"
            " where job_id not in (select job_id from work_results)"  # those left out by a filter
            " order by module_path, start_pos_row, start_pos_col, operator_name, operator_args,"
            " occurrence"
        ).fetchall()
        if sample.size is None or sample.size >= len(rows):
            return
        kept = {job for (job,) in random.Random(sample.seed).sample(rows, sample.size)}
        removed = [(job,) for (job,) in rows if job not in kept]
        for table in ("mutation_specs", "work_items"):
            database.executemany(f"delete from {table} where job_id = ?", removed)


def serve(address: str, modules: list[str], tests: str | None, *, mirrored: bool) -> None:
    """For each connection, run the tests of the module that is changed, and send the exit code.

    `modules` are paths in the working directory. Without a change, all their tests run.
    """
    for name in IMPORTED_ONCE:
        importlib.import_module(name)
    gc.freeze()

    originals = {module: Path(module).read_bytes() for module in modules}
    with Listener(address, "AF_UNIX") as listener:
        while True:
            with listener.accept() as connection:
                changed = [m for m, text in originals.items() if Path(m).read_bytes() != text]
                code = 0
                for part in [tests] if tests else stages(changed or modules, mirrored=mirrored):
                    code = code or run_tests(part, keep_bytecode=not changed)
                print(*changed, "survived" if code == 0 else "killed", file=sys.stderr, flush=True)
                with suppress(OSError):  # cosmic-ray has given up the change
                    connection.send(code)


def stages(modules: list[str], *, mirrored: bool) -> list[str]:
    """Return what mirrors a module and then the tests of its top folder; the latter for several."""
    if len(modules) == 1 and mirrored:
        return [mirrored_tests(modules[0])]
    folders = sorted({"/".join(["tests", *Path(module).parts[1:2]]) for module in modules})
    return [mirrored_tests(modules[0]), *folders] if len(modules) == 1 else folders


def run_tests(tests: str, *, keep_bytecode: bool) -> int:
    """Return the exit code of pytest, run in a fork with limits.

    The bytecode of a changed module is not kept: its file may have the time and size of the next.
    """
    import pytest

    child = os.fork()
    if child == 0:
        if not keep_bytecode:
            sys.dont_write_bytecode = True
            os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os._exit(int(pytest.main([*PYTEST, tests])))
    limit = threading.Timer(TIMEOUT, os.kill, (child, signal.SIGKILL))
    limit.start()
    _, status = os.waitpid(child, 0)
    limit.cancel()
    return os.waitstatus_to_exitcode(status)


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
    parser.add_argument(
        "paths", nargs="+", metavar="path", help="a module or folder of zoo/, from the root"
    )
    parser.add_argument("--tests", help="the tests that should notice the changes")
    parser.add_argument(
        "--mirrored", action="store_true", help="run only the tests that mirror the changed module"
    )
    parser.add_argument("--sample", type=int, help="how many changes are tried; all by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw of the sample")
    parser.add_argument("--serve", metavar="SOCKET", help=argparse.SUPPRESS)
    parser.add_argument("--ask", metavar="SOCKET", help=argparse.SUPPRESS)
    parser.add_argument("--least", type=float, default=0, help="the lowest score, in percent")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.paths, arguments.tests, mirrored=arguments.mirrored)
    if arguments.ask:
        return ask(arguments.ask)
    for path in arguments.paths:
        if not (ROOT / path).exists():
            parser.error(f"{path} does not exist in this checkout")
    if shutil.which("cosmic-ray") is None:
        parser.error("cosmic-ray is not on the path; install it with `uv tool install cosmic-ray`")
    started = time.monotonic()
    modules = [module for path in arguments.paths for module in modules_below(path)]
    sample = Sample(arguments.sample, arguments.seed)
    tried = mutate(modules, arguments.tests, sample, mirrored=arguments.mirrored)
    print(report(" ".join(arguments.paths), tried, time.monotonic() - started))
    return int(sum(m.killed for m in tried) * 100 < arguments.least * len(tried))


if __name__ == "__main__":
    sys.exit(main())
