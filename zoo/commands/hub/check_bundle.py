"""`regzoo check-bundle`: show what is used of a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.hub.foreign_bundles import BundleContent


def check_bundle(bundle: str, *, revision: str | None = None) -> int:
    """Show the model, the settings and the weights of a bundle, or why it is more than data.

    Nothing of the bundle is run. If it is data, `regzoo register --bundle` runs the package's own
    workflow of the model with these settings and weights. A bundle that is more than data runs only
    with --trust; the exit code is then 1, and the command lists what the bundle would run.

    Examples:
        regzoo check-bundle my_model
        regzoo check-bundle some_owner/some_bundle --revision 0.1.0

    Args:
        bundle: A folder, the name of a bundle of the zoo, or OWNER/NAME on the Hugging Face Hub.
        revision: A tag or commit of the repository on the Hub.
    """
    import sys
    import tempfile
    from pathlib import Path

    from zoo.errors import UserError
    from zoo.hub.bundles import packaged_bundle
    from zoo.hub.cache import expand_user
    from zoo.hub.foreign_bundles import read_bundle
    from zoo.hub.remote import fetch_bundle

    for folder in (expand_user(bundle), packaged_bundle(bundle)):
        if folder is not None and folder.is_dir():
            return _show(bundle, folder, read_bundle(folder))
    if bundle.count("/") != 1:
        raise UserError(f"{bundle} is neither a folder nor OWNER/NAME on the Hub")
    print(f"there is no folder {bundle}; fetching it from the Hub", file=sys.stderr)
    with tempfile.TemporaryDirectory() as target:
        fetched = fetch_bundle(bundle, revision, Path(target))
        return _show(bundle, fetched, read_bundle(fetched))


def _show(name: str, folder: Path, content: BundleContent) -> int:
    """Print the content of a bundle and return the exit code."""
    import json

    data = content.data
    if data is None:
        print(f"{name} is more than data and runs only with --trust:")
        print("\n".join(f"  {reason}" for reason in content.reasons))
        if content.program:
            print("it would run:")
            print("\n".join(f"  {line}" for line in content.program))
        return 1
    weights = data.weights
    if weights is not None and weights.is_relative_to(folder.absolute()):
        weights = weights.relative_to(folder.absolute())
    print(f"{name} is data")
    print(f"  model: {data.model}")
    print(
        f"  settings: {json.dumps(dict(data.settings)) if data.settings else 'those of the model'}"
    )
    print(f"  weights: {weights or 'those of the model'}")
    return 0
