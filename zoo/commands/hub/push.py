"""`regzoo push`: publish a bundle on the Hugging Face Hub."""

from __future__ import annotations


def push(
    bundle: str,
    repo_id: str,
    *,
    private: bool = False,
    tag: str | None = None,
    dry_run: bool = False,
) -> None:
    """Publish a bundle on the Hugging Face Hub, with its model card and a version tag.

    Configs, docs, the licence and safetensors files are sent; outputs, data, pickles and all other
    files are not. The tag is the version in configs/metadata.json, and the tag latest_version moves
    to the new commit. The command needs `hf auth login` or HF_TOKEN.

    Examples:
        regzoo push mcbo me/mcbo --dry-run
        regzoo push my_bundle me/my_bundle --private --tag 0.2.0

    Args:
        bundle: The folder of a bundle, or the name of a bundle of the zoo.
        repo_id: OWNER/NAME on the Hub; the repository is created if it does not exist.
        private: Create a private repository.
        tag: The version tag; if you give it and it exists already, it moves to the new commit.
        dry_run: List the files that would be sent, and send nothing.
    """
    from zoo.hub.push import plan_push
    from zoo.hub.push import push as push_bundle
    from zoo.hub.weights import sha256_of

    plan = plan_push(bundle)
    for name, path in plan.files.items():
        digest = f", sha256 {sha256_of(path)}" if path.suffix == ".safetensors" else ""
        print(
            f"{'would send' if dry_run else 'sends'} {name} ({path.stat().st_size} bytes{digest})"
        )
    for name, reason in plan.left_out.items():
        print(f"leaves out {name}: {reason}")
    if dry_run:
        print(f"would tag {tag or plan.version}; the model card (README.md) would be:")
        print(plan.card)
        return
    commit = push_bundle(plan, repo_id, private, tag)
    print(f"{repo_id} is at {commit}, tagged {tag or plan.version} and latest_version")
