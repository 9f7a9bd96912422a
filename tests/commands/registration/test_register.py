"""`regzoo register`: the plan of a pair, the options of the user, and what is refused."""

import json
import shutil

import pytest
import torch
from support.command_line import refusal, run
from support.quick_registrations import WORDS

from zoo.commands.registration.register import details
from zoo.hub.bundles import bundle_folder
from zoo.io.volume import read_volume, write_volume

pytestmark = pytest.mark.usefixtures("symmetry_without_search")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"affine": "$print(1)"}, "begins with $, @ or %; write ./"),
        ({"mode": "$print(1)"}, "'$print(1)' is not allowed; use one of accurate"),
        ({"x": {"_target_": "os.system"}}, "has no such setting"),
        ({"network_def::_target_": "os.system"}, "has no such setting"),
        ({"network_def#_target_": "os.system"}, "has no such setting"),
        ({"+handlers": []}, "has no such setting"),
        ({"pairs": {"_target_": "os.system", "command": "true"}}, "the component differs"),
    ],
)
def test_a_plan_that_would_run_code_is_refused(data, images, tmp_path, change, message, capsys):
    path = tmp_path / "plan.json"
    assert run("plan", data, "-o", path) == 0
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    error = refusal(capsys, "register", *images, "--out", tmp_path / "r", "--plan", path)
    assert message in error
    assert not (tmp_path / "r").exists()


def test_the_plan_of_a_pair_is_printed_kept_and_can_be_used_again(images, tmp_path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    words = ["--device", "cpu", "--report=false"]
    assert run("register", *images, "--out", out, *words, "--set", "fluid=never") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("mcbo: ")
    assert "not known: --anatomy" in printed
    assert "initial affine alignment: " in printed
    assert f"Results written to {out}" in printed
    assert "quality: ok" in printed
    plan = json.loads((out / "plan.json").read_text())
    assert plan["plan"]["beliefs"]["modality.0 (fixed)"]["confidence"] == "certain"
    words += ["--plan", out / "plan.json", "--quiet"]
    assert run("register", *images, "--out", again, *words) == 0
    assert capsys.readouterr() == ("", "")
    for name in ("transform.nii.gz", "warped.nii.gz"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_the_plan_of_a_pair_states_the_settings_of_the_user_and_repeats_the_registration(
    images, tmp_path
):
    words = ["--device", "cpu", "--report=false"]
    own = ["--model", "mcbo", "--affine", "com", "--set", "mode=convexadam"]
    assert run("register", *images, "--out", tmp_path / "a", *words, *own) == 0
    file = tmp_path / "a" / "plan.json"
    plan = json.loads(file.read_text())
    assert (plan["affine"], plan["mode"]) == ("com", "convexadam")
    for name in ("affine", "mode"):
        assert plan["plan"]["choices"][name]["value"] == plan[name]
        assert plan["plan"]["choices"][name]["rule"] == "user"
    assert run("register", *images, "--out", tmp_path / "b", *words, "--plan", file) == 0
    assert (tmp_path / "a" / "transform.nii.gz").read_bytes() == (
        tmp_path / "b" / "transform.nii.gz"
    ).read_bytes()
    changed = ["--plan", file, "--set", "mode=accurate", "--set", "fluid=never"]
    assert run("register", *images, "--out", tmp_path / "c", *words, *changed) == 0
    plan = json.loads((tmp_path / "c" / "plan.json").read_text())
    assert (plan["affine"], plan["mode"]) == ("com", "accurate")
    reason = plan["plan"]["choices"]["mode"]["because"]
    assert reason == "set by the user over 'convexadam'"


def test_without_guessing_a_missing_fact_stops_the_command(images, tmp_path, capsys):
    words = ["--out", tmp_path / "out", "--accept-guess=false"]
    assert "--anatomy brain" in refusal(capsys, "register", *images, *words)
    assert not (tmp_path / "out").exists()


def test_settings_of_the_user_replace_those_of_the_plan(images, weights, tmp_path):
    words = ["--out", tmp_path, "--model", "unigradicon", "--report=false", "--device", "cpu"]
    words += ["--weights", weights / "unigradicon.safetensors", "--set", "size=[65, 65, 65]"]
    assert run("register", *images, *words, "--refine", "1") == 0
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert settings["refine"] == 1
    assert settings["crop"] is False


def test_facts_from_the_user_become_the_conditions_of_unireg(images, weights, tmp_path):
    words = ["--out", tmp_path, "--model", "unireg", "--anatomy", "chest", "--pairing", "inter"]
    words += ["--weights", weights / "unireg.safetensors", "--report=false", "--device", "cpu"]
    words += ["--set", "size=[40, 32, 48]"]
    assert run("register", *images, *words) == 0
    settings = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert (settings["region"], settings["type"]) == ("chest", "inter")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bundle", "{mcbo}", "--anatomy", "brain"], "cannot be combined with --anatomy;"),
        (["--bundle", "{mcbo}", "--plan", "p", "--memory", "8GB"], "with --memory or --plan;"),
        (["--plan", "p.json", "--model", "mcbo"], "has already decided what --model would"),
        (["--bundle", "{here}"], "is more than data, so it is not run"),
        (["--bundle", "{here}", "--trust"], "has no component `saver`"),
        (["--anatomy", "elbow"], "elbow"),
        (["--modality.0", "xray"], "--modality.0"),
        (["--modality.2", "mr"], "--modality.2"),
        (["--affine", "twist"], "--affine 'twist'"),
        (["--threads", "0"], "--threads 0 must be 1 or more"),
        (["--moving-labels", "none.nii.gz"], "none.nii.gz"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(
    images, tmp_path, capsys, words, message
):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.json").write_text("{}")
    places = {"mcbo": bundle_folder("mcbo"), "here": tmp_path}
    words = [word.format(**places) for word in words]
    error = refusal(capsys, "register", *images, "--out", tmp_path / "out", *words)
    assert message in error
    assert not list(tmp_path.glob("out/*.nii.gz"))


def test_a_bundle_runs_with_its_own_settings_and_without_a_plan(images, tmp_path):
    bundle = tmp_path / "mine"
    shutil.copytree(bundle_folder("mcbo"), bundle)
    config = json.loads((bundle / "configs" / "inference.json").read_text())
    (bundle / "configs" / "inference.json").write_text(json.dumps(config | {"mode": "convexadam"}))
    out = tmp_path / "out"
    words = ["--out", out, "--bundle", bundle, "--device", "cpu", "--set", "affine=none"]
    assert run("register", *images, *words) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["settings"]["mode"] == "convexadam"
    assert result["affine_start"]["kind"] == "none"
    assert (out / "report.html").exists()
    assert not (out / "plan.json").exists()


def test_a_failed_registration_is_reported_and_with_strict_its_exit_code_is_3(
    images, tmp_path, capsys
):
    fixed = read_volume(images[0])
    noise = torch.randn(fixed.grid.shape, generator=torch.Generator().manual_seed(0))
    write_volume(tmp_path / "noise.nii.gz", noise, fixed.grid)
    words = [images[0], tmp_path / "noise.nii.gz", "--device", "cpu", "--report=false"]
    words += ["--model", "mcbo", "--set", "affine=none", *WORDS]
    assert run("register", *words, "--out", tmp_path / "a") == 0
    assert "regzoo: quality failed: The registered images agree" in capsys.readouterr().err
    assert run("register", *words, "--out", tmp_path / "b", "--strict") == 3
    result = json.loads((tmp_path / "b" / "result.json").read_text())
    assert result["quality"] == "failed"
    assert (tmp_path / "b" / "transform.nii.gz").is_file()


def test_json_prints_one_document_and_nothing_else(images, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--device", "cpu", "--report=false", "--json", "--progress", "--set", "fluid=never"]
    assert run("register", *images, "--out", out, *words) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == "progress 100 saving"
    printed = json.loads(captured.out)
    assert printed == {"folder": str(out), **json.loads((out / "result.json").read_text())}
    assert "Learn2Reg 2024" in printed["citation"][0]
    lines = details(printed).splitlines()
    assert [line.partition(": ")[0] for line in lines if line.endswith(" s")] == [
        *printed["seconds"]
    ]
    assert lines[-1] == f"files: {', '.join(printed['files'])}"


def test_a_dry_run_prints_the_plan_and_writes_nothing(images, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert run("register", *images, "--out", out, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("mcbo: ")
    assert "nothing was written" in printed
    assert run("register", *images, "--out", out, "--dry-run", "--json") == 0
    plan = json.loads(capsys.readouterr().out)["plan"]["plan"]
    assert plan["model"] == "mcbo"
    assert run("register", *images, "--out", out, "--dry-run", "--verbose") == 0
    reasons = capsys.readouterr().out
    assert all(choice["because"] in reasons for choice in plan["choices"].values())
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_refuses_what_the_registration_would(images, tmp_path, capsys):
    words = ["register", *images, "--dry-run", "--out"]
    labels = tmp_path / "labels.nii.gz"
    missing = refusal(capsys, *words, tmp_path / "out", "--fixed-labels", labels)
    assert str(labels) in missing
    error = refusal(capsys, *words, tmp_path, "--model", "unigradicon", "--weights", "official")
    assert "regzoo pull unigradicon:official" in error
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(capsys, *words, tmp_path / "file" / "out")
    assert "exclude each other" in refusal(capsys, *words, tmp_path, "--json", "--quiet")
