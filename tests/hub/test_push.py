"""Publishing a bundle: the files, the card, the tags, and the download with MONAI."""

from __future__ import annotations

import json
import shutil

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from support.loopback import Fault
from support.tiny_bundle import make_bundle, make_pair

from zoo.commands.hub.check_bundle import check_bundle as check_command
from zoo.commands.hub.push import push as push_command
from zoo.errors import UserError
from zoo.hub.bundles import bundle_folder
from zoo.hub.push import plan_push, push

REPO = "me/tiny"


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "tiny")


def set_version(bundle, version):
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))


def field_of(folder):
    return nib.load(next(folder.glob("*field.nii"))).get_fdata()


@pytest.mark.slow
def test_the_full_circle_gives_the_same_files_and_the_same_field(hub_here, bundle, tmp_path):
    """MONAI downloads, loads and runs a bundle that does not need this package."""
    pair, got = make_pair(tmp_path / "pair"), tmp_path / "got" / "tiny"
    push(plan_push(str(bundle)), REPO, private=True)
    assert hub_here.repos[REPO].private
    place = {"name": "tiny", "bundle_dir": str(tmp_path / "got")}
    monai.bundle.download(
        **place, source="huggingface_hub", repo=REPO, version="0.1.0", progress=False
    )
    sent = ("LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md")
    for name in (*sent, "models/model.safetensors"):
        assert (got / name).read_bytes() == (bundle / name).read_bytes()
    network = monai.bundle.load(
        **place, workflow_type="inference", model_file="models/model.safetensors", device="cpu"
    )
    saved, state = load_file(got / "models" / "model.safetensors"), network.state_dict()
    assert all(torch.equal(saved[name], value) for name, value in state.items())
    for folder, out in ((bundle, "ours"), (got, "theirs")):
        monai.bundle.run(
            config_file=str(folder / "configs" / "inference.json"),
            bundle_root=str(folder),
            dataset_dir=str(pair),
            output_dir=str(tmp_path / out),
        )
    ours, theirs = field_of(tmp_path / "ours"), field_of(tmp_path / "theirs")
    assert np.ptp(ours) > 0
    np.testing.assert_array_equal(ours, theirs)


def test_a_bundle_of_the_hub_is_checked_without_running_it(hub_here, bundle, capsys):
    push(plan_push(str(bundle)), REPO)
    assert check_command(REPO, revision="0.1.0") == 1
    out = capsys.readouterr().out
    assert "me/tiny is more than data and runs only with --trust" in out
    assert "does not name a model of regzoo" in out
    assert "network_def::_target_: 'UNet'" in out
    data = {
        "configs/inference.json": b'{"mode": "paper"}',
        "configs/metadata.json": b'{"regzoo": {"model": "mcbo"}}',
        "scripts/__init__.py": b"raise SystemExit",
    }
    hub_here.add("me/data", data)
    assert check_command("me/data") == 0
    out = capsys.readouterr().out
    assert "model: mcbo" in out
    assert 'settings: {"mode": "paper"}' in out
    with pytest.raises(UserError, match="no such repository"):
        check_command("me/nothing")
    with pytest.raises(UserError, match="neither a folder nor OWNER/NAME"):
        check_command("nothing")


def test_only_the_files_of_a_bundle_are_sent(hub_here, bundle):
    plan = plan_push(str(bundle))
    assert plan.left_out == {
        "eval/patient.nii": "an output",
        "models/model.pt": "weights are published as safetensors only",
        "patients.csv": "not part of a bundle",
    }
    push(plan, REPO)
    names = set(hub_here.repos[REPO].commits[hub_here.repos[REPO].head])
    assert names == {
        ".gitattributes", "LICENSE", "README.md", "configs/inference.json",
        "configs/metadata.json", "docs/README.md", "models/model.safetensors",
    }  # fmt: skip


def test_a_dry_run_lists_the_files_and_sends_nothing(hub_here, bundle, capsys):
    push_command(str(bundle), REPO, dry_run=True)
    out = capsys.readouterr().out
    assert "would send models/model.safetensors" in out
    assert "leaves out eval/patient.nii: an output" in out
    assert "library_name: monai" in out
    assert hub_here.requests == []


def test_the_card_has_the_front_matter_of_the_hub(bundle):
    card = plan_push(str(bundle)).card
    _, head, text = card.split("---\n", 2)
    assert text == "# Tiny\n\nA test.\n"
    front = yaml.safe_load(head)
    assert front["license"] == "apache-2.0"
    assert front["library_name"] == "monai"
    assert front["pipeline_tag"] == "image-to-image"
    assert front["metrics"] == ["tre"]
    wanted = {"monai", "medical", "image-registration", "ct", "mr", "upper-leg", "arxiv:2403.05780"}
    assert wanted <= set(front["tags"])


def test_the_licence_of_the_card_is_that_of_the_weights_that_are_sent(tmp_path):
    def front(folder):
        return yaml.safe_load(plan_push(str(folder)).card.split("---\n", 2)[1])

    assert front("unireg")["license"] == "apache-2.0"  # the package holds the compact weights only
    copy = tmp_path / "unireg"
    shutil.copytree(bundle_folder("unireg"), copy)
    compact = copy / "models" / "model_compact.safetensors"
    shutil.copyfile(compact, copy / "models" / "model.safetensors")
    both = front(copy)
    assert both["license"] == "other"
    assert "official-weights-none-stated" in both["license_name"]
    assert "compact-weights-apache-2-0" in both["license_name"]
    compact.unlink()
    assert front(copy)["license_name"].startswith("none-stated")


def test_a_new_version_moves_latest_version_and_leaves_the_old_tag(hub_here, bundle):
    first = push(plan_push(str(bundle)), REPO)
    (bundle / "docs" / "README.md").write_text("# Better\n")
    with pytest.raises(UserError, match=r"has version 0.1.0 already: raise the version"):
        push(plan_push(str(bundle)), REPO)
    assert hub_here.repos[REPO].head == first
    set_version(bundle, "0.2.0")
    (bundle / "docs" / "README.md").rename(bundle / "README.md")
    second = push(plan_push(str(bundle)), REPO)
    published = hub_here.repos[REPO]
    assert published.tags == {"0.1.0": first, "0.2.0": second, "latest_version": second}
    assert (
        "docs/README.md" not in published.commits[second]
    )  # a file that was removed is removed there


def test_a_tag_named_by_the_user_moves_and_an_unchanged_bundle_makes_no_commit(hub_here, bundle):
    messages = []
    push(plan_push(str(bundle)), REPO)
    commits = len(hub_here.repos[REPO].commits)
    push(plan_push(str(bundle)), REPO, tag="0.1.0", say=messages.append)
    assert len(hub_here.repos[REPO].commits) == commits
    assert messages == []
    (bundle / "LICENSE").write_text("MIT\n")
    commit = push(plan_push(str(bundle)), REPO, tag="0.1.0", say=messages.append)
    assert messages[0].startswith("tag 0.1.0 moves from")
    assert set(hub_here.repos[REPO].tags.values()) == {commit}


def test_monai_without_a_version_gets_the_newest(hub_here, bundle, tmp_path):
    push(plan_push(str(bundle)), REPO)
    set_version(bundle, "0.0.9")  # lower, but pushed later
    push(plan_push(str(bundle)), REPO)
    monai.bundle.download(
        name="tiny", source="huggingface_hub", repo=REPO, bundle_dir=str(tmp_path / "got")
    )
    metadata = (tmp_path / "got" / "tiny" / "configs" / "metadata.json").read_text()
    assert json.loads(metadata)["version"] == "0.0.9"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            Fault("/api/repos/create", status=403, method="POST"),
            "403: your token does not allow this",
        ),
        (Fault("/api/repos/create", status=401, method="POST"), "401: you are not logged in"),
        (Fault("/lfs/", status=403, method="PUT"), "403: your token does not allow this"),
        (Fault("/commit/", status=500, method="POST"), "500: the Hub failed"),
    ],
)
def test_a_refused_push_gives_the_reason_and_tags_nothing(hub_here, bundle, fault, words):
    hub_here.faults = [fault]
    with pytest.raises(UserError, match=f"cannot push to me/tiny: {words}"):
        push(plan_push(str(bundle)), REPO)
    published = hub_here.repos.get(REPO)
    assert published is None or (len(published.commits) == 1 and published.tags == {})


@pytest.mark.parametrize("repo", ["tiny", "not a repo id", "me/tiny/more"])
def test_a_repository_without_its_owner_is_refused_before_anything_is_created(
    hub_here, bundle, repo
):
    with pytest.raises(UserError, match="use OWNER/NAME"):
        push(plan_push(str(bundle)), repo)
    assert not hub_here.repos


def test_an_incomplete_or_damaged_bundle_is_not_published(bundle):
    for name, problem in (("LICENSE", "lacks LICENSE"), ("docs/README.md", "no model card")):
        kept = (bundle / name).read_text()
        (bundle / name).unlink()
        with pytest.raises(UserError, match=problem):
            plan_push(str(bundle))
        (bundle / name).write_text(kept)
    (bundle / "models" / "half.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="truncated or is not a safetensors"):
        plan_push(str(bundle))
    with pytest.raises(UserError, match="is not a bundle"):
        plan_push(str(bundle / "docs"))


def test_a_specification_and_measurements_are_not_published():
    plan = plan_push("mcbo")
    assert "read from packaged bundles only" in plan.left_out["spec.yaml"]
    assert "memory.json" in plan.left_out
    assert "license: apache-2.0" in plan.card
    assert "arxiv:2409.05040" in plan.card


def test_a_card_that_is_a_link_is_not_published(bundle, tmp_path):
    (tmp_path / "secret").write_text("a secret of this computer")
    card = bundle / "docs" / "README.md"
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="is a link, which is not published"):
        plan_push(str(bundle))


@pytest.mark.parametrize(
    ("key", "value"), [("references", 5), ("metrics", "tre"), ("arxiv", [1]), ("datasets", {})]
)
def test_metadata_of_another_type_is_refused(bundle, key, value):
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(UserError, match=f"has {key} .*write a list of texts"):
        plan_push(str(bundle))


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("a: &x [1]\nb: *x", r"the alias \*x is not allowed"),
        ("a: !!python/object/apply:os.system ['touch x']", "not YAML"),
        ("a: " + "[" * 100 + "]" * 100, "nested too deeply"),
        ("a: " + "x" * 70_000, "at most 65536"),
        ("a: 1\na: 2", "occurs twice"),
        ("<<: {a: 1}\na: .nan", "only finite numbers"),
    ],
)
def test_the_front_matter_of_a_card_has_limits(bundle, front, message):
    (bundle / "docs" / "README.md").write_text(f"---\n{front}\n---\ntext\n")
    with pytest.raises(UserError, match=message):
        plan_push(str(bundle))
