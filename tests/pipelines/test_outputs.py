"""The output folder of a registration: complete or untouched, locked, and never an input."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.killed_registrations import AT_RANDOM
from support.quick_registrations import SETTINGS, WORDS

import zoo
from zoo import UserError
from zoo.handlers.output_files import RESULT, previous_outputs
from zoo.hub.bundles import bundle_folder
from zoo.io.volume import write_volume
from zoo.pipelines import RegistrationOptions
from zoo.pipelines.register import register_files
from zoo.runtime.output_folder import staged_outputs
from zoo.synthesis.phantom import make_pair

pytestmark = pytest.mark.usefixtures("symmetry_without_search")

QUICK = {"affine": "none", "device": "cpu", "settings": SETTINGS}
ROOT = Path(zoo.__file__).parents[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    phantom = make_pair(2, shape=(24, 24, 24))
    for name in ("fixed", "moving"):
        write_volume(
            folder / f"{name}.nii.gz", getattr(phantom, name), getattr(phantom, f"{name}_grid")
        )
    return {name: str(folder / f"{name}.nii.gz") for name in ("fixed", "moving")}


def start(*words):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_results_or_the_new_ones(pair, tmp_path):
    out = tmp_path / "results" / "out"
    exchanged = {"fixed": pair["moving"], "moving": pair["fixed"]}
    register_files(RegistrationOptions(**exchanged, **QUICK, out=out, format="both", inverse=True))
    (out / "notes.txt").write_text("of the user")
    words = [pair["fixed"], pair["moving"], "--out", out, "--affine", "none", "--device", "cpu"]
    words += ["--report=false", "--threads", "1"]  # a process with threads cannot be forked
    process = start("-m", "support.killed_registrations", *words, *WORDS)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    first, *kills = map(json.loads, output.splitlines())
    old, new = first["old"], first["new"]
    assert len(kills) == 30
    assert set(old) - set(new) == {"transform.h5", "inverse.h5", "inverse.nii.gz"}
    same = {name for name in new if new[name] == old.get(name)}
    assert same == {"notes.txt"}

    def is_new(files):  # result.json has times, so that it differs between runs
        without_times = {name: digest for name, digest in files.items() if name != RESULT}
        return RESULT in files and without_times == {
            name: digest for name, digest in new.items() if name != RESULT
        }

    outcomes = []
    for kill in kills:
        assert kill["recovered"] == old or is_new(kill["recovered"]), kill["at"]
        assert kill["beside"] == ["out"], kill["at"]
        if kill["killed"] == old:
            outcomes.append("old")
        elif is_new(kill["killed"]):
            outcomes.append("new")
        else:  # result.json is missing until the next process has moved the rest of the new files
            assert RESULT not in kill["killed"], kill["at"]
            assert is_new(kill["recovered"]), kill["at"]
            outcomes.append("finished")
    assert set(outcomes) == {"old", "finished", "new"}
    assert outcomes[-AT_RANDOM:].count("finished") <= 1  # the files are moved in milliseconds


def test_nothing_of_an_earlier_registration_remains_and_files_of_the_user_stay(pair, tmp_path):
    out = tmp_path / "out"
    bundle = bundle_folder("mcbo")
    moving = [pair["moving"], pair["fixed"]]
    register_files(
        RegistrationOptions(
            pair["fixed"], moving, **QUICK, out=out, format="both", learn2reg=True, report=True
        )
    )
    assert {"plan.json", "warped_2.nii.gz", "disp_fixed_moving.nii.gz", "report.png"} <= names(out)
    (out / "inverse.h5").write_text("of the user")
    result = register_files(RegistrationOptions(**pair, **QUICK, out=out, bundle=bundle)).result
    written = {"result.json", "transform.nii.gz", "warped.nii.gz"}
    assert names(out) == written | {"inverse.h5"}
    assert set(result["files"]) == written
    assert names(tmp_path) == {"out"}


def test_a_failed_registration_keeps_the_old_results(pair, tmp_path):
    out = tmp_path / "out"
    register_files(RegistrationOptions(**pair, **QUICK, out=out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    points = tmp_path / "points.csv"
    points.write_text("x,y,z\n1,2\n")
    with pytest.raises(UserError, match=r"points\.csv"):
        register_files(
            RegistrationOptions(**pair, **QUICK, out=out, fixed_points=points, moving_points=points)
        )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert names(tmp_path) == {"out", "points.csv"}


def test_a_second_registration_into_a_folder_is_refused(pair, tmp_path):
    out = tmp_path / "out"
    with staged_outputs(out, previous_outputs, marker=RESULT):
        for register in (
            zoo.register,
            lambda **options: register_files(RegistrationOptions(**options)),
        ):
            with pytest.raises(UserError, match=rf"process {os.getpid()} on .* folder {out};"):
                register(**pair, **QUICK, out=out)
    assert zoo.register(**pair, **QUICK, out=out).figures


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("fixed", "warped.nii.gz", "the fixed image"),
        ("moving", "transform.nii.gz", "the moving image"),
        ("fixed_labels", "warped_labels.nii.gz", "--fixed-labels"),
        ("moving_labels", "inverse.nii.gz", "--moving-labels"),
        ("fixed_mask", "warped.nii.gz", "--fixed-mask"),
        ("moving_mask", "disp_fixed_moving.nii.gz", "--moving-mask"),
        ("fixed_points", "result.json", "--fixed-points"),
        ("moving_points", "plan.json", "--moving-points"),
        ("plan", "plan.json", "--plan"),
        ("affine", "transform.h5", "--affine"),
        ("weights", "report.html", "--weights"),
    ],
)
@pytest.mark.parametrize("link", [None, "symlink", "hardlink"])
def test_an_input_that_is_also_an_output_is_refused(pair, tmp_path, option, name, message, link):
    out = tmp_path / "out"
    out.mkdir()
    output = path = out / name
    output.write_bytes(Path(pair["fixed"]).read_bytes())
    if link == "symlink":
        path = tmp_path / "elsewhere"
        path.symlink_to(output)
    elif link == "hardlink":
        path = tmp_path / "elsewhere"
        path.hardlink_to(output)
    options = {**pair, "out": out, option: path}
    expected = f"{message} ({path}) would be overwritten, because the output {output} is"
    with pytest.raises(UserError, match=re.escape(expected)):
        register_files(RegistrationOptions(**options))
    assert output.read_bytes() == Path(pair["fixed"]).read_bytes()
    assert names(out) == {name}


def test_an_output_that_links_to_an_input_is_refused(pair, tmp_path):
    (tmp_path / "warped_2.nii.gz").symlink_to(pair["moving"])
    moving = [pair["fixed"], pair["moving"]]
    with pytest.raises(UserError, match="moving image 2"):
        register_files(RegistrationOptions(pair["fixed"], moving, out=tmp_path))


def test_an_affine_file_of_the_plan_is_an_input_too(pair, tmp_path):
    out = tmp_path / "out"
    plan = json.loads(
        json.dumps(register_files(RegistrationOptions(**pair, **QUICK, out=out)).plan)
    )
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan | {"affine": str(out / "transform.nii.gz")}))
    with pytest.raises(UserError, match="the affine transform of the plan"):
        register_files(RegistrationOptions(**pair, out=out, plan=path, device="cpu"))


def test_a_copy_of_the_results_replaces_earlier_ones(pair, tmp_path):
    first = zoo.register(**pair, **QUICK, out=tmp_path / "first", format="both")
    (tmp_path / "first" / "notes.txt").write_text("of the user")
    copy = zoo.Registration(first.save(tmp_path / "copy"))
    assert copy.result == first.result
    assert names(copy.folder) == set(first.result["files"])
    second = zoo.register(**pair, **QUICK)
    second.save(copy.folder)
    assert names(copy.folder) == set(second.result["files"]) == {
        "plan.json", "result.json", "transform.nii.gz", "warped.nii.gz"
    }  # fmt: skip
    assert first.save(first.folder) == first.folder
    assert (tmp_path / "first" / "notes.txt").exists()


def test_the_printed_seconds_are_those_since_the_start_of_the_process(pair, tmp_path):
    started = time.monotonic()
    words = ["--out", tmp_path / "out", "--affine", "none", "--report=false", *WORDS]
    process = start("-m", "zoo", "register", *pair.values(), *words)
    lines = []
    for line in process.stdout:
        lines.append((time.monotonic() - started, line))
        if line.startswith("Results written"):
            break
    process.communicate()
    assert process.returncode == 0
    passed, line = next((passed, line) for passed, line in lines if " MiB" in line)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert line.startswith(f"{result['wall_seconds']:.1f} s, ")
    assert result["wall_seconds"] == pytest.approx(passed, rel=0.1, abs=0.3)
    assert result["wall_seconds"] > sum(result["seconds"].values())


def test_a_call_in_a_long_session_counts_its_own_seconds(pair):
    started = time.perf_counter()
    result = zoo.register(**pair, **QUICK).result
    passed = time.perf_counter() - started
    assert sum(result["seconds"].values()) < result["wall_seconds"] < passed
