"""Run all hostile cases in this process, with an audit hook that records what they do.

The arguments are a folder to work in and the names of two good plans in it. The results are
printed as JSON: for each case its name, the expected outcome, the exit code, stderr, and what the
hook recorded.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
import sys
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

from support.hostile_cases import DATA, MARK, REFUSED, Case, all_cases, mcbo_config, write_bundle
from support.hostile_datasets import dataset_cases
from zoo import cli

ALWAYS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen",
          "socket.", "urllib.Request", "http.client.", "ctypes.dlopen", "pickle.find_class",
          "shutil.", "code.__new__", "sys.addaudithook")  # fmt: skip
CHANGING = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod",
            "os.truncate", "shutil.rmtree")  # fmt: skip
TYPE_HINT = re.compile(r"[\w\s\[\].,|']*")  # compiled by typing.get_type_hints; it calls nothing
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def packaged_expressions() -> set[str]:
    """Return the expressions in the package's own workflow of mcbo, without their $."""
    texts = re.findall(r'"\$((?:[^"\\]|\\.)*)"', json.dumps(mcbo_config()))
    return {json.loads(f'"{text}"') for text in texts}


class Recorder:
    """An audit hook. It records while `folder`, in which a case may write, is set."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.strict = True
        self.events: list[str] = []
        self.packaged = {"torch.device('cpu')", *packaged_expressions()}

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        folder, self.folder = self.folder, None  # the hook's own calls are not recorded
        try:
            if self.is_suspicious(event, arguments, folder):
                self.events.append(f"{event} {repr(arguments)[:200]}")
        finally:
            self.folder = folder

    def is_suspicious(self, event: str, arguments: tuple[Any, ...], folder: str) -> bool:
        if event == "compile":
            source, file = arguments
            text = source.decode(errors="replace") if isinstance(source, bytes) else str(source)
            own = re.sub(r"__local_refs\['(\w+)'\]", r"@\1", text) in self.packaged
            own = own or TYPE_HINT.fullmatch(text) is not None
            if _is_literal(
                text
            ):  # the name of a file, as zoo.hub.setting_rules.for_monai writes it
                return False
            return MARK in text or (self.strict and str(file).startswith("<") and not own)
        if event == "exec":
            code = arguments[0]
            calls = isinstance(code, CodeType) and bool(code.co_names)
            return calls and MARK in f"{code.co_consts}{code.co_names}"
        if event == "import":
            return MARK in str(arguments) or folder in str(arguments[1])
        if event == "open":
            path, _, flags = arguments
            return bool(flags & WRITING) and not _is_allowed(path, folder)
        if event in CHANGING:
            return not _is_allowed(arguments[0], folder)
        return event.startswith(ALWAYS) and arguments != (None,)  # ctypes.CDLL(None)


def _is_literal(text: str) -> bool:
    """Return whether a source is one quoted text, which does nothing when it is run."""
    try:
        return isinstance(ast.literal_eval(text), str)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def _is_allowed(path: Any, folder: str) -> bool:
    """Return whether a path is in the output folder of a case, or is no path (a descriptor)."""
    if isinstance(path, int):
        return True
    return os.path.abspath(os.fsdecode(path)).startswith((folder, os.devnull))  # noqa: PTH100


def run(case: Case, folder: Path, images: dict[str, str], recorder: Recorder) -> dict[str, Any]:
    given, results = folder / "input", folder / "results"
    given.mkdir(parents=True)
    results.mkdir()
    words = [word.format(**images) if word in ("{fixed}", "{moving}") else word
             for word in case.arguments(given)]  # fmt: skip
    if "--out" not in words:
        words += ["--out", str(results / "out")]
    if words[0] == "register":
        words += ["--report=false"] + ([] if "--device" in words else ["--device", "cpu"])
    errors = io.StringIO()
    recorder.events, recorder.strict, recorder.folder = [], case.outcome == REFUSED, str(results)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            code = cli.run(words)
    except BaseException:
        code = f"raised: {traceback.format_exc()[-1500:]}"
    finally:
        recorder.folder = None
    return {
        "name": case.name,
        "outcome": case.outcome,
        "code": code,
        "errors": errors.getvalue()[-500:],
        "events": recorder.events[:5],
    }


def main(root: Path, pair: str, dataset: str) -> None:
    images = {name: str(root / f"{name}.nii.gz") for name in ("fixed", "moving")}
    (root / "working folder").mkdir()
    os.chdir(root / "working folder")
    Path("evil.json").write_text(json.dumps({"x": f"$open('{MARK}', 'w')"}))
    recorder = Recorder()

    def good(folder: Path) -> list[str]:
        bundle = write_bundle(folder, mcbo_config())
        return ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]

    # Imports and other work that happen once are done before the hook records.
    for module in ("compare", "evaluate", "finetune", "plan", "register", "run"):
        importlib.import_module(f"zoo.pipelines.{module}")
    importlib.import_module("zoo.training")
    importlib.import_module("zoo.commands.registration.run")  # its options are a dataclass
    first = run(Case("good", good, DATA), root / "good", images, recorder)
    sys.addaudithook(recorder)
    cases = all_cases(json.loads(Path(pair).read_text()), json.loads(Path(dataset).read_text()))
    cases += dataset_cases(json.loads((root / "fingerprint.json").read_text()))
    results = [run(case, root / str(n), images, recorder) for n, case in enumerate(cases)]
    print(json.dumps([first, *results]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
