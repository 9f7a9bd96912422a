"""`regzoo check-bundle`: is this bundle safe to run?"""

from __future__ import annotations


def check_bundle(bundle: str, *, revision: str | None = None) -> int:
    """Look for anything in a bundle that could do harm when it is run; runs nothing of it.

    Every component, expression, macro and file is held against lists of what is known to be
    harmless. Exits with 1 if there is anything else. The bundle's author may still be asked.

    Examples:
        regzoo check-bundle mcbo
        regzoo check-bundle some_owner/some_bundle --revision 0.1.0

    Args:
        bundle: a folder, the name of a bundle that came with the zoo, or OWNER/NAME on the Hub.
        revision: a tag or commit of the Hub repo.
    """
    import sys
    import tempfile
    from pathlib import Path

    from zoo.errors import UserError
    from zoo.hub.bundles import packaged_bundle
    from zoo.hub.cache import expand_user
    from zoo.hub.remote import fetch_bundle
    from zoo.hub.safety import check_bundle as look

    for folder in (expand_user(bundle), packaged_bundle(bundle)):
        if folder is not None and folder.is_dir():
            findings = look(folder)
            break
    else:
        if bundle.count("/") != 1:
            raise UserError(f"{bundle} is neither a folder nor OWNER/NAME on the Hub")
        print(f"there is no folder {bundle}; looking on the Hub", file=sys.stderr)
        with tempfile.TemporaryDirectory() as place:
            findings = look(fetch_bundle(bundle, revision, Path(place)))
    for finding in findings:
        print(finding)
    print(f"{bundle}: {f'{len(findings)} finding(s)' if findings else 'nothing harmful found'}")
    return 1 if findings else 0
