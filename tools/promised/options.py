"""Options of a registration and of a run, and the commands that tell and complete."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from promised.promise import Broken, Place, Promise, ensure, improved, phantom
from promised.studies import study

VIEWER = 'type="importmap"'


def effort_changes_what_is_computed(place: Place) -> str:
    """`--effort fast` searches only, `--effort best` chooses between candidates, and both improve
    the pair.
    """
    files = phantom(place.shared / "phantom-t1")
    results = {
        effort: place.register(files, effort, "--report", "none", "--effort", effort)
        for effort in ("fast", "best")
    }
    seen = [f"{effort} {improved(result['figures'])}" for effort, result in results.items()]
    settings = results["fast"]["settings"]
    ensure(settings["fluid"] == "never", f"the settings of fast are {settings}")
    chosen = results["best"].get("candidates", {}).get("chosen")
    ensure(bool(chosen), f"best names no candidate: {results['best']['settings']}")
    return f"{', '.join(seen)}; best chose {chosen}"


def points_guide_a_registration(place: Place) -> str:
    """`--guide points` steers the registration by landmarks, holds some out, and their error
    becomes smaller.
    """
    files = phantom(place.shared / "phantom-t1")
    guide = place.register(files, "result", "--report", "none", "--guide", "points")["guide"]
    ensure(guide["guiding"] > guide["held_out"] > 0, f"the guide is {guide}")
    before, after = (guide[f"held_out_error_mm_{name}"] for name in ("before", "after"))
    seen = f"{guide['held_out']} held out of {guide['guiding'] + guide['held_out']}: "
    seen += f"{before:.2f} -> {after:.2f} mm"
    ensure(after < before, seen)
    return seen


def a_full_report_has_the_viewer(place: Place) -> str:
    """A full report has the viewer in one file that loads nothing, and `regzoo report` adds it to
    a light one.
    """
    files = phantom(place.shared / "phantom-t1")
    images = {"fixed": files["fixed"], "moving": files["moving"]}
    page = place.folder / "result" / "report.html"
    sizes = []
    for words, viewer in (
        (["--report", "full"], True), (["--report", "light"], False), (None, True),
    ):  # fmt: skip
        if words is None:
            place.regzoo("report", "result")
        else:
            place.register(images, "result", *words)
        text = page.read_text(encoding="utf-8")
        ensure((VIEWER in text) == viewer, f"viewer: {VIEWER in text} after {words or 'report'}")
        loaded = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)
        ensure(not loaded, f"the page loads {loaded[:3]}")
        sizes.append(len(text) / 2**20)
    ensure(max(sizes) < 8, f"{max(sizes):.1f} MiB")
    return f"{sizes[0]:.1f} MiB with the viewer, {sizes[1]:.1f} MiB without"


def a_dry_run_writes_nothing(place: Place) -> str:
    """`--dry-run --json` of `register` and `run` prints the plan and the pairs, and writes
    nothing.
    """
    files = phantom(place.shared / "phantom-t1")
    root = study(place)
    before = sorted(root.rglob("*"))
    words = ["--out", "result", "--dry-run", "--json"]
    one = json.loads(place.regzoo("register", files["fixed"], files["moving"], *words))
    ensure(one["dry_run"] is True and "model" in one["plan"]["plan"], f"it printed {list(one)}")
    many = json.loads(place.regzoo("run", root / "plan.json", *words))
    finished, pending = len(many["finished"]), len(many["pending"])
    ensure((finished, pending) == (0, 3), f"{finished} finished, {pending} pending")
    ensure(list(place.folder.iterdir()) == [], "something was written")
    ensure(sorted(root.rglob("*")) == before, "the study has changed")
    return f"{one['plan']['plan']['model']} planned; {pending} pairs pending"


def json_is_all_of_stdout(place: Place) -> str:
    """`--json` prints result.json or summary.json as one document, and `--quiet` prints nothing
    for a good pair.
    """
    files = phantom(place.shared / "phantom-t1")
    words = ["register", files["fixed"], files["moving"], "--out", "result", "--report", "none"]
    printed = json.loads(place.regzoo(*words, "--json"))
    folder = printed.pop("folder")
    ensure(printed == place.json("result/result.json"), "it differs from result.json")
    ensure(folder == "result" or folder.endswith("/result"), f"the folder is {folder}")
    said = place.regzoo(*words, "--quiet")
    ensure(said == "", f"--quiet printed {said}")
    run = shutil.copytree(study(place) / "run", place.folder / "run")
    told = json.loads(place.regzoo("run", study(place) / "plan.json", "--out", run, "--json"))
    told.pop("folder")
    ensure(told == place.json("run/summary.json"), "it differs from summary.json")
    return f"{len(printed)} keys of result.json, {len(told)} of summary.json"


def where_names_files_that_exist(place: Place) -> str:
    """`regzoo where` names the bundle and the weights of every model, and what to cite."""
    found = 0
    for model in ("mcbo", "unigradicon", "multigradicon", "unireg"):
        told = json.loads(place.regzoo("where", model, "--json"))
        paths = [told["bundle"], *(path for path in told["weights"].values() if path)]
        for path in paths:
            ensure((place.folder / path).exists(), f"{path} of {model} does not exist")
        ensure(bool(told["citation"]), f"{model} has no citation")
        found += len(paths)
    return f"{found} paths of four models exist"


def completion_completes(place: Place) -> str:
    """The script of `regzoo completion bash` completes a command, an option and a value."""
    if shutil.which("bash") is None:
        return "not tried: bash is not installed"
    script = place.folder / "regzoo.bash"
    script.write_text(place.regzoo("completion", "bash"))
    for line, expected in (
        ("regzoo regis", "register"),
        ("regzoo register --dry", "--dry-run"),
        ("regzoo register --effort be", "best"),
    ):
        words = line.split()
        quoted = " ".join(f"'{word}'" for word in words)
        code = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _regzoo; "
        code += 'echo "${COMPREPLY[@]}"'
        done = subprocess.run(
            ["bash", "-c", f"source {script.name}; {code}"],
            cwd=place.folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.stdout.split() != [expected]:
            raise Broken(f"{line!r} gave {done.stdout.split()} {done.stderr}")
    return "register, --dry-run and best"


OPTIONS: tuple[Promise, ...] = (
    effort_changes_what_is_computed,
    points_guide_a_registration,
    a_full_report_has_the_viewer,
    a_dry_run_writes_nothing,
    json_is_all_of_stdout,
    where_names_files_that_exist,
    completion_completes,
)
