"""Registrations that are killed, each in a child of a process that has imported everything.

    python -m support.killed_registrations WORDS...

registers once with the words of `regzoo register` and prints the contents of the output folder. It
then restores this folder, registers again, and kills each child before a different operation on the
file system, or at a random moment. It prints one line of JSON per kill: the contents of the output
folder right after the kill, and after the next process has opened it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

from support.quick_registrations import unaligned

OPERATIONS = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree")
EARLY_OPERATIONS, LATE_OPERATIONS, AT_RANDOM = 4, 20, 6


class AtOperation:
    """An audit hook that counts the operations in a folder and kills the process before one."""

    def __init__(self, folder: Path, number: int | None = None) -> None:
        self.folder = str(folder)
        self.number = number
        self.count = 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and any(str(a).startswith(self.folder) for a in arguments):
            if self.count == self.number:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in a folder by its relative name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def register_in_child(words: list[str], hook: AtOperation) -> int:
    """Start a child that registers; return its process id. It writes its count to `count`."""
    child = os.fork()
    if child:
        return child
    from zoo.cli import run

    sys.addaudithook(hook)
    with contextlib.redirect_stdout(None):
        code = run(["register", *words])
    (Path(hook.folder).parent / "count").write_text(str(hook.count))
    os._exit(code)


def kill_one(words: list[str], out: Path, number: int | None, seconds: float) -> dict[str, object]:
    """Kill a registration at operation `number`, or after `seconds`; return what it leaves."""
    from zoo.handlers.output_files import RESULT, previous_outputs
    from zoo.runtime.output_folder import staged_outputs

    child = register_in_child(words, AtOperation(out.parent, number))
    if number is None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    killed = contents(out)
    with (
        contextlib.suppress(ZeroDivisionError),
        staged_outputs(out, previous_outputs, marker=RESULT),
    ):
        raise ZeroDivisionError  # the next process fails, after it has finished what was begun
    return {
        "at": number if number is not None else round(seconds, 2),
        "killed": killed,
        "recovered": contents(out),
        "beside": sorted(path.name for path in out.parent.iterdir()),
    }


def main(words: list[str]) -> None:
    """Register once, then kill registrations that start from the same output folder."""
    import zoo.evaluation.symmetry
    from zoo.cli import run

    zoo.evaluation.symmetry.rigid_alignment = unaligned
    place = words.index("--out") + 1
    out = Path(words[place])
    before = out.parent.parent / "before"
    with contextlib.redirect_stdout(None):  # the children inherit all that this one imports
        assert (
            run(["register", *words[:place], f"{out.parent.parent / 'own'}", *words[place + 1 :]])
            == 0
        )
    shutil.copytree(out, before)
    started = time.monotonic()
    _, status = os.waitpid(register_in_child(words, AtOperation(out.parent)), 0)
    assert status == 0
    seconds = time.monotonic() - started
    count = int((out.parent.parent / "count").read_text())
    print(json.dumps({"old": contents(before), "new": contents(out)}))
    draw = random.Random(0)
    early = range(0, count - LATE_OPERATIONS, (count - LATE_OPERATIONS) // EARLY_OPERATIONS)
    late = range(count - LATE_OPERATIONS, count)
    numbers = [*early[:EARLY_OPERATIONS], *late, *[None] * AT_RANDOM]
    for number in numbers:
        shutil.rmtree(out)
        shutil.copytree(before, out)
        print(json.dumps(kill_one(words, out, number, draw.uniform(0, seconds))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
