"""Bringing weights to this computer: from the Hub, from their authors, from a file or an address.

The order is always the same: fetch, check the sha256, check or convert, put in place by a rename,
write the lock file's entry. Whatever is interrupted before the last step counts for nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from zoo.errors import UserError
from zoo.hub.catalogue import Model, Variant, find_variant
from zoo.hub.download import check_url, download
from zoo.hub.lock import Installed, exclusive, lock_path, read_lock, record
from zoo.hub.places import at_home, own_home, weights_folder
from zoo.hub.remote import check_repo_path, hub_client
from zoo.hub.weights import read_weights_header, sha256_of
from zoo.io.atomic import LEFTOVERS, atomic_path

_UNVERIFIED = "nothing yet"


@dataclass(frozen=True)
class _Fetched:
    """A fetched file, its source, and the sha256 that somebody vouches for (with who it is)."""

    path: Path
    source: str
    origin: str
    revision: str | None
    expected: tuple[tuple[str, str], ...]  # (sha256, who says so)
    temporary: bool


def pull(
    spec: str,
    source: str | None = None,
    revision: str | None = None,
    say: Callable[[str], None] = print,
) -> Installed:
    """Have the weights `MODEL[:VARIANT]` on this computer; no network if they are there already.

    `source` is hub, upstream, a path, or an https address; None takes the Hub once the catalogue
    says that they are published there, else upstream. `revision` is a tag or commit of the Hub.
    """
    model, variant = find_variant(spec)
    name = f"{model.name}:{variant.name}"
    if revision is not None and source not in (None, "hub"):
        raise UserError(f"--revision {revision} goes with --source hub, not with {source}")
    waiting = f"another pull of {name} is running; waiting for it"
    with exclusive(f"{model.name}-{variant.name}", lambda: say(waiting)):
        present = read_lock().installed.get(name)
        if present and present.in_place() and _answers(present, source, revision):
            say(f"{name} is here already: {present.path}")
            return present
        source = source or _default_source(name, variant, revision)
        fetched = _fetch(model, variant, source, revision, say)
        sha256, checked = _check(fetched)
        path = fetched.path if fetched.source == "hub" else _place(fetched, model, variant)
        entry = Installed(
            model=model.name,
            variant=variant.name,
            path=str(path),
            sha256=sha256_of(path),
            size=path.stat().st_size,
            source=fetched.source,
            origin=fetched.origin,
            revision=fetched.revision,
            checked=checked,
            pulled=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        record(entry, (fetched.origin, sha256))
    if checked == _UNVERIFIED:
        say(
            f"{name} is unverified: nobody has measured the sha256 of {fetched.origin} yet. What "
            f"came is noted in {lock_path()}, and a later pull must bring the same"
        )
    say(f"{name}: {path} ({entry.size / 1e6:.1f} MB, sha256 {entry.sha256}, {variant.licence})")
    return entry


def _default_source(name: str, variant: Variant, revision: str | None) -> str:
    if variant.published or revision is not None:
        return "hub"
    if variant.upstream is None:
        raise UserError(f"{name} is not published yet; there is nothing to pull")
    return "upstream"


def _answers(present: Installed, source: str | None, revision: str | None) -> bool:
    """Whether what is here is what is asked for."""
    if revision is not None and revision != present.revision:
        return False
    if source is None or source in ("hub", "upstream"):
        return source in (None, present.source)
    return present.origin == _origin_of(source)


def _fetch(
    model: Model, variant: Variant, source: str, revision: str | None, say: Callable[[str], None]
) -> _Fetched:
    if source == "hub":
        return _from_hub(model, variant, revision or variant.revision, say)
    if source == "upstream":
        if variant.upstream is None:
            raise UserError(f"{model.name}:{variant.name} is the zoo's own: it has no upstream")
        known = variant.upstream.sha256
        expected = ((known, "the catalogue"),) if known else ()
        return _from_url("upstream", variant.upstream.url, expected, say)
    if "://" in source:
        return _from_url("url", source, (), say)
    path = at_home(source)
    if not path.is_file():
        raise UserError(
            f"--source {source}: no such file; give hub, upstream, a file, or an https address"
        )
    return _Fetched(path, "file", _origin_of(source), None, (), temporary=False)


def _from_hub(
    model: Model, variant: Variant, revision: str, say: Callable[[str], None]
) -> _Fetched:
    """The file in the Hugging Face cache, fetched by the Hub's own client."""
    origin = f"hub:{model.hub}@{revision}:{variant.file}"
    with hub_client(f"cannot pull {model.hub} at revision {revision} from the Hub") as api:
        info = api.model_info(model.hub, revision=revision, files_metadata=True)
        for sibling in info.siblings:
            check_repo_path(sibling.rfilename)
        files = {sibling.rfilename: sibling for sibling in info.siblings}
        if variant.file not in files:
            raise UserError(f"{model.hub} has no {variant.file} in revision {revision}")
        expected = _expected(variant, origin)
        lfs = files[variant.file].lfs
        if lfs is not None:
            expected += ((lfs.sha256, "the Hub"),)
        _agree(origin, expected)
        say(f"fetching {variant.file} of {model.hub} at {revision} ({info.sha[:12]})")
        path = Path(api.hf_hub_download(model.hub, variant.file, revision=info.sha))
    return _Fetched(path, "hub", origin, revision, expected, temporary=True)


def _from_url(
    source: str,
    url: str,
    expected: tuple[tuple[str, str], ...],
    say: Callable[[str], None],
) -> _Fetched:
    check_url(url)
    folder = own_home() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(urlsplit(url).path).name or "weights"
    pinned = read_lock().pins.get(url)
    if pinned:
        expected += ((pinned, "an earlier pull"),)
    _agree(url, expected)
    say(f"fetching {url}")
    download(url, folder / name)
    return _Fetched(folder / name, source, url, None, expected, temporary=True)


def _expected(variant: Variant, origin: str) -> tuple[tuple[str, str], ...]:
    """What the catalogue and earlier pulls say the sha256 of a file of the Hub is."""
    known = ((variant.sha256, "the catalogue"),) if variant.sha256 else ()
    pinned = read_lock().pins.get(origin)
    return known + (((pinned, "an earlier pull"),) if pinned else ())


def _agree(origin: str, expected: tuple[tuple[str, str], ...]) -> None:
    """Refuse before fetching when those who vouch for a file contradict each other."""
    for (first, says), (second, denies) in pairwise(expected):
        if first != second:
            raise UserError(_mismatch(origin, first, says, f"{denies} has {second}"))


def _check(fetched: _Fetched) -> tuple[str, str]:
    """The file's sha256 and who vouches for it; a file that is not as expected is removed."""
    found = sha256_of(fetched.path)
    try:
        for sha256, who in fetched.expected:
            if found != sha256:
                raise UserError(_mismatch(fetched.origin, sha256, who, f"what came has {found}"))
        if fetched.path.suffix == ".safetensors":
            read_weights_header(fetched.path)
    except UserError:
        if fetched.temporary:
            _remove(fetched.path)
        raise
    return found, fetched.expected[0][1] if fetched.expected else _UNVERIFIED


def _mismatch(origin: str, sha256: str, who: str, found: str) -> str:
    advice = (
        f"; if its owners did replace it, delete its line from {lock_path()}"
        if who == "an earlier pull"
        else ""
    )
    return f"{origin} is refused: by {who} its sha256 is {sha256}, but {found}{advice}"


def _remove(path: Path) -> None:
    """Delete a fetched file, and the cache's file behind it if it is a link."""
    behind = path.resolve()
    path.unlink(missing_ok=True)
    behind.unlink(missing_ok=True)


def _place(fetched: _Fetched, model: Model, variant: Variant) -> Path:
    """Put weights that did not come from the Hub in the zoo's own folder, as safetensors."""
    target = weights_folder(model.name, variant.name) / "model.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(LEFTOVERS):  # of a pull that was killed
        leftover.unlink(missing_ok=True)
    try:
        if fetched.path.suffix == ".safetensors":
            _check_fit(fetched, model, variant)
            with atomic_path(target) as temporary:
                shutil.copyfile(fetched.path, temporary)
        else:
            _convert(fetched, variant, target)
    finally:
        if fetched.temporary:
            shutil.rmtree(fetched.path.parent, ignore_errors=True)
    return target


def _check_fit(fetched: _Fetched, model: Model, variant: Variant) -> None:
    """Refuse weights of another network, and of the one that the catalogue knows other ones."""
    from zoo.hub.convert import expected_shapes

    name, width = variant.architecture["name"], variant.architecture["width"]
    wanted, found = expected_shapes(name, width), read_weights_header(fetched.path).shapes
    differ = sorted(k for k in wanted.keys() | found.keys() if wanted.get(k) != found.get(k))
    what = f"{fetched.origin} is refused as weights of {model.name}:{variant.name}"
    if differ:
        raise UserError(
            f"{what} ({name}, width {width}): {len(differ)} of its tensors are others, such as "
            f"{differ[0]}; give the file of this model"
        )
    if variant.sha256 is not None and sha256_of(fetched.path) != variant.sha256:
        raise UserError(f"{what}: by the catalogue its sha256 is {variant.sha256}")


def _convert(fetched: _Fetched, variant: Variant, target: Path) -> None:
    from zoo.hub.convert import convert

    convert(
        fetched.path,
        target,
        architecture=variant.architecture["name"],
        width=variant.architecture["width"],
        licence=variant.licence,
        url=fetched.origin if "://" in fetched.origin else None,
    )


def _origin_of(source: str) -> str:
    return source if "://" in source else str(at_home(source).resolve())


def fetch_bundle(repo_id: str, revision: str | None, folder: Path) -> Path:
    """A whole bundle of the Hub as plain files in `folder`; nothing of it is run or looked at."""
    with hub_client(f"cannot fetch {repo_id} from the Hub") as api:
        info = api.model_info(repo_id, revision=revision)
        for sibling in info.siblings:
            check_repo_path(sibling.rfilename)
        api.snapshot_download(repo_id, revision=info.sha, local_dir=folder)
    return folder
