"""Publishing a bundle: what goes, the card, the tags; and the way back through MONAI itself."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import yaml
from conftest import finish
from loopback import Fault
from tiny_bundle import make_bundle, make_pair

from zoo.errors import UserError
from zoo.hub.push import plan_push

REPO = "me/tiny"
RUN = """
import sys, monai.bundle
monai.bundle.run(config_file=sys.argv[1] + "/configs/inference.json", bundle_root=sys.argv[1],
                 dataset_dir=sys.argv[2], output_dir=sys.argv[3], meta_file=None)
"""
DOWNLOAD = """
import sys, monai.bundle, torch
from safetensors.torch import load_file
args = {"version": sys.argv[2]} if len(sys.argv) > 2 else {}
monai.bundle.download(name="tiny", source="huggingface_hub", repo="me/tiny", bundle_dir=sys.argv[1],
                      progress=False, **args)
network = monai.bundle.load(name="tiny", bundle_dir=sys.argv[1], workflow_type="inference",
                            model_file="models/model.safetensors", device="cpu")
saved = load_file(sys.argv[1] + "/tiny/models/model.safetensors")
assert all(torch.equal(saved[k], v) for k, v in network.state_dict().items())
"""


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "tiny")


def set_version(bundle, version):
    path = bundle / "configs" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": version}))


def test_the_full_circle_gives_the_same_files_and_the_same_field(user, hub, bundle, tmp_path):
    pair = make_pair(tmp_path / "pair")
    code, out, err = user.run("push", str(bundle), REPO, "--private")
    assert code == 0, err
    published = hub.repos[REPO]
    assert published.private
    got = tmp_path / "got"
    code, _, err = finish(user.python("-c", DOWNLOAD, str(got), "0.1.0"))
    assert code == 0, err
    sent = ("LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md")
    for name in (*sent, "models/model.safetensors"):
        assert (got / "tiny" / name).read_bytes() == (bundle / name).read_bytes()
    fields = []
    for folder in (bundle, got / "tiny"):
        to = tmp_path / f"out{len(fields)}"
        code, _, err = finish(user.python("-c", RUN, str(folder), str(pair), str(to)))
        assert code == 0, err
        fields.append(nib.load(next(to.glob("*field.nii"))).get_fdata())
    assert np.ptp(fields[0]) > 0
    np.testing.assert_array_equal(fields[0], fields[1])
    code, out, _ = user.run("check-bundle", REPO, "--revision", "0.1.0")
    assert (code, out) == (0, f"{REPO}: nothing harmful found\n")


def test_only_what_belongs_to_a_bundle_goes_and_a_dry_run_sends_nothing(user, hub, bundle):
    code, out, _ = user.run("push", str(bundle), REPO, "--dry-run")
    assert code == 0
    assert "would send models/model.safetensors" in out
    assert "leaves out models/model.pt: weights are published as safetensors only" in out
    assert "leaves out eval/patient.nii: outputs" in out
    assert hub.requests == []
    user.run("push", str(bundle), REPO)
    names = set(hub.repos[REPO].commits[hub.repos[REPO].head])
    assert names == {
        ".gitattributes", "LICENSE", "README.md", "configs/inference.json",
        "configs/metadata.json", "docs/README.md", "models/model.safetensors",
    }  # fmt: skip


def test_the_card_says_what_the_hub_should_know(bundle):
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


def test_a_new_version_moves_latest_version_and_leaves_the_old_tag(user, hub, bundle):
    user.run("push", str(bundle), REPO)
    first = hub.repos[REPO].head
    (bundle / "docs" / "README.md").write_text("# Better\n")
    code, _, err = user.run("push", str(bundle), REPO)
    assert code == 2
    assert "has version 0.1.0 already: raise the version" in err
    assert hub.repos[REPO].head == first
    set_version(bundle, "0.2.0")
    (bundle / "docs" / "README.md").rename(bundle / "docs" / "card.md")
    (bundle / "README.md").write_text("# Better\n")
    code, _, err = user.run("push", str(bundle), REPO)
    assert code == 0, err
    second = hub.repos[REPO].head
    assert hub.repos[REPO].tags == {"0.1.0": first, "0.2.0": second, "latest_version": second}
    assert "docs/README.md" not in hub.repos[REPO].commits[second]


def test_a_tag_that_is_given_moves_and_an_unchanged_bundle_makes_no_commit(user, hub, bundle):
    user.run("push", str(bundle), REPO)
    commits = len(hub.repos[REPO].commits)
    code, _, err = user.run("push", str(bundle), REPO, "--tag", "0.1.0")
    assert code == 0, err
    assert len(hub.repos[REPO].commits) == commits
    (bundle / "LICENSE").write_text("MIT\n")
    code, out, _ = user.run("push", str(bundle), REPO, "--tag", "0.1.0")
    assert code == 0
    assert "tag 0.1.0 moves from" in out
    assert set(hub.repos[REPO].tags.values()) == {hub.repos[REPO].head}


def test_monai_without_a_version_gets_the_newest(user, hub, bundle, tmp_path):
    user.run("push", str(bundle), REPO)
    set_version(bundle, "0.0.9")  # lower, but pushed later
    user.run("push", str(bundle), REPO)
    code, _, err = finish(user.python("-c", DOWNLOAD, str(tmp_path / "got")))
    assert code == 0, err
    metadata = (tmp_path / "got" / "tiny" / "configs" / "metadata.json").read_text()
    assert json.loads(metadata)["version"] == "0.0.9"


def test_a_push_that_is_refused_says_why(user, hub, bundle):
    hub.faults = [Fault("/api/repos/create", status=403, method="POST")]
    code, _, err = user.run("push", str(bundle), REPO)
    assert code == 2
    assert "cannot push to me/tiny: 403: your token may not do this" in err
    hub.faults = [Fault(r"/lfs/", status=403, method="PUT")]
    code, _, err = user.run("push", str(bundle), REPO)
    assert code == 2
    assert "cannot push to me/tiny: 403" in err
    assert hub.repos[REPO].tags == {}
    assert len(hub.repos[REPO].commits) == 1
    assert user.run("push", str(bundle), "not a repo id")[0] == 2


def test_a_bundle_that_is_not_whole_or_not_safe_is_not_published(bundle):
    for name, problem in (("LICENSE", "lacks LICENSE"), ("docs/README.md", "no model card")):
        kept = (bundle / name).read_text()
        (bundle / name).unlink()
        with pytest.raises(UserError, match=problem):
            plan_push(str(bundle))
        (bundle / name).write_text(kept)
    (bundle / "configs" / "train.json").write_text('{"x": "$open(1)"}')
    with pytest.raises(UserError, match=r"not safe to publish: configs/train.json: x: the name op"):
        plan_push(str(bundle))
    (bundle / "configs" / "train.json").unlink()
    (bundle / "models" / "half.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="truncated or not a safetensors"):
        plan_push(str(bundle))
    with pytest.raises(UserError, match="is no bundle"):
        plan_push(str(bundle / "docs"))
