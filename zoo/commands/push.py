"""`regzoo push`: a bundle onto the Hub."""

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

    Configs, docs, licence and safetensors go; outputs, data, pickles and anything else stay. The
    tag is the version in configs/metadata.json; the tag latest_version moves along. Needs
    `hf auth login` or HF_TOKEN.

    Examples:
        regzoo push mcbo me/mcbo --dry-run
        regzoo push my_bundle me/my_bundle --private --tag 0.2.0

    Args:
        bundle: a bundle's folder, or the name of one that came with the zoo.
        repo_id: OWNER/NAME on the Hub; made if it is not there.
        private: make the repo a private one.
        tag: the version tag; given here, it moves if it is there already.
        dry_run: list what would go, and send nothing.
    """
    from zoo.hub.push import plan_push
    from zoo.hub.push import push as send
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
    commit = send(plan, repo_id, private, tag)
    print(f"{repo_id} is at {commit}, tagged {tag or plan.version} and latest_version")
