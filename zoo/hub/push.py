"""Publish a bundle on the Hub: the files that are sent, the commit, the tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.bundles import packaged_bundle
from zoo.hub.cache import expand_user
from zoo.hub.card import model_card
from zoo.hub.catalogue import SPEC_FILE
from zoo.hub.remote import hub_client
from zoo.hub.weights_header import read_weights_header
from zoo.io.json_documents import read_json_object

_LATEST = "latest_version"  # the tag that MONAI downloads if no version is named
_PUBLISHED = re.compile(
    r"LICENSE(\.[a-z]+)?|NOTICE"
    r"|configs/[\w.-]+\.(json|yaml|yml|conf)"
    r"|docs/([\w.-]+/)*[\w.-]+\.(md|txt|png|jpg|svg)"
    r"|models/[\w.-]+\.safetensors"
)
_REQUIRED = ("LICENSE", "configs/metadata.json", "configs/inference.json")
_VERSION = re.compile(r"\d+\.\d+\.\d+([.-]?[a-z0-9]+)*")


@dataclass(frozen=True)
class PushPlan:
    """What a push sends: the local files by their name in the repository, and the model card.

    `left_out` holds the reason for each file of the bundle that is not sent.
    """

    bundle: Path
    version: str
    files: dict[str, Path]
    card: str
    left_out: dict[str, str]


def plan_push(bundle: str) -> PushPlan:
    """Check a bundle, given by its folder or as a packaged one by name, and list what to send."""
    folder = _folder(bundle)
    files: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    for path in sorted(_files(folder)):
        name = path.relative_to(folder).as_posix()
        reason = _reason_to_leave_out(name, path)
        if reason is None:
            files[name] = path
        elif name != "README.md":  # the model card takes its place
            left_out[name] = reason
    missing = [name for name in _REQUIRED if name not in files]
    if missing:
        raise UserError(f"{folder} is not a complete bundle: it lacks {', '.join(missing)}")
    for name in files:
        if name.startswith("models/"):
            read_weights_header(files[name])
    metadata = read_json_object(files["configs/metadata.json"])
    version = str(metadata.get("version", ""))
    if not _VERSION.fullmatch(version):
        raise UserError(
            f"{folder}/configs/metadata.json: the version is {version!r}, but it must look "
            "like 1.2.3"
        )
    return PushPlan(folder, version, files, model_card(folder, metadata), left_out)


def push(
    plan: PushPlan,
    repo_id: str,
    private: bool = False,
    tag: str | None = None,
    say: Callable[[str], None] = print,
) -> str:
    """Send a bundle as one commit, tag it, and return the commit's id.

    Afterwards the repository holds exactly the plan's files and the model card. The tag is the
    version in metadata.json unless `tag` names another one. An existing tag is moved only if `tag`
    names it. `latest_version` always moves to the new commit.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):  # the Hub would add an owner
        raise UserError(f"{repo_id!r} is not the name of a repository; use OWNER/NAME")
    if tag is not None and not re.fullmatch(r"[\w.-]+", tag):
        raise UserError(f"--tag {tag!r} is not a valid tag; use for example {plan.version}")
    with hub_client(f"cannot push to {repo_id}") as api:
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id).tags}
        if tag is None and plan.version in tags:
            raise UserError(
                f"{repo_id} has version {plan.version} already: raise the version in "
                f"configs/metadata.json, or replace it with --tag {plan.version}"
            )
        commit = _commit(api, plan, repo_id)
        for name in (tag or plan.version, _LATEST):
            if tags.get(name) == commit:
                continue
            if name in tags:
                api.delete_tag(repo_id, tag=name)
                say(f"tag {name} moves from {tags[name][:12]} to {commit[:12]}")
            api.create_tag(repo_id, tag=name, revision=commit)
    return commit


def _commit(api: Any, plan: PushPlan, repo_id: str) -> str:
    """Commit the plan's files and the card, delete all other files, and return the commit's id."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(name, str(path)) for name, path in plan.files.items()]
    additions.append(CommitOperationAdd("README.md", plan.card.encode()))
    keep = {*plan.files, "README.md", ".gitattributes"}
    stale = [CommitOperationDelete(f) for f in api.list_repo_files(repo_id) if f not in keep]
    info = api.create_commit(
        repo_id, [*additions, *stale], commit_message=f"Version {plan.version}"
    )
    return str(info.oid)


def _folder(bundle: str) -> Path:
    """Return the folder of a bundle, given by its path or the name of a packaged one."""
    folder = expand_user(bundle)
    if (folder / "configs").is_dir():
        return folder
    packaged = packaged_bundle(bundle)
    if packaged is None:
        raise UserError(f"{bundle} is not a bundle: there is no folder {bundle}/configs")
    return packaged


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _reason_to_leave_out(name: str, path: Path) -> str | None:
    """Return why a file is not published; None if it is."""
    if path.is_symlink():
        return "a link"
    if name == SPEC_FILE:
        return "a model specification, which is read from packaged bundles only"
    if _PUBLISHED.fullmatch(name):
        return None
    if name.startswith("models/"):
        return "weights are published as safetensors only"
    if name.startswith("eval/"):
        return "an output"
    return "not part of a bundle"
