"""`regzoo check-bundle`: check whether a bundle is safe to run."""

from __future__ import annotations


def check_bundle(bundle: str, *, revision: str | None = None) -> int:
    """Report everything in a bundle that could do harm when the bundle is run.

    Nothing of the bundle is run. Every component, expression, macro and file is compared with lists
    of what is known to be harmless. The exit code is 1 if anything else is found; this does not
    mean that the bundle is malicious.

    Examples:
        regzoo check-bundle mcbo
        regzoo check-bundle some_owner/some_bundle --revision 0.1.0

    Args:
        bundle: a folder, the name of a bundle of the zoo, or OWNER/NAME on the Hugging Face Hub.
        revision: a tag or commit of the repository on the Hub.
    """
    import sys
    import tempfile
    from pathlib import Path

    from zoo.commands._shared import counted
    from zoo.errors import UserError
    from zoo.hub.bundles import packaged_bundle
    from zoo.hub.cache import expand_user
    from zoo.hub.remote import fetch_bundle
    from zoo.hub.safety import check_bundle as find_risks

    for folder in (expand_user(bundle), packaged_bundle(bundle)):
        if folder is not None and folder.is_dir():
            findings = find_risks(folder)
            break
    else:
        if bundle.count("/") != 1:
            raise UserError(f"{bundle} is neither a folder nor OWNER/NAME on the Hub")
        print(f"there is no folder {bundle}; fetching it from the Hub", file=sys.stderr)
        with tempfile.TemporaryDirectory() as target:
            findings = find_risks(fetch_bundle(bundle, revision, Path(target)))
    for finding in findings:
        print(finding)
    print(f"{bundle}: {counted(len(findings), 'finding') if findings else 'nothing harmful found'}")
    return 1 if findings else 0
