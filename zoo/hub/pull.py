"""Pull weights to this computer: from the Hub, from their authors, from a file or an address.

The order is always the same: fetch the file, check its sha256, check or convert its tensors, put it
in place by a rename, write its entry in the lock file. A pull that is interrupted before the last
step has no effect.
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
from zoo.hub.cache import expand_user, regzoo_home, weights_folder
from zoo.hub.catalogue import find_variant
from zoo.hub.download import check_url, download
from zoo.hub.lock import UNVERIFIED, Installed, exclusive, lock_path, read_lock, record
from zoo.hub.remote import check_repo_path, hub_client
from zoo.hub.specs import ModelSpec, Variant
from zoo.hub.weights_header import read_weights_header, sha256_of
from zoo.io.atomic import LEFTOVERS, atomic_path

_CATALOGUE, _HUB, _EARLIER_PULL = "the catalogue", "the Hub", "an earlier pull"


@dataclass(frozen=True)
class _Fetched:
    """A fetched file and its source.

    `expected` are the known values of its sha256, each with the name of who states it. A
    `temporary` file is deleted if it is refused.
    """

    path: Path
    source: str
    origin: str
    revision: str | None
    expected: tuple[tuple[str, str], ...]
    temporary: bool


def pull(
    spec: str,
    source: str | None = None,
    revision: str | None = None,
    say: Callable[[str], None] = print,
) -> Installed:
    """Make the weights `MODEL[:VARIANT]` available on this computer.

    Nothing is fetched if they are here already. `source` is hub, upstream, a path or an https
    address; None means the Hub if the weights are published there, else upstream. `revision` is a
    tag or commit of the Hub. `say` receives each message to the user.
    """
    model, variant = find_variant(spec)
    name = f"{model.name}:{variant.name}"
    if revision is not None and source not in (None, "hub"):
        raise UserError(f"--revision {revision} needs --source hub; it has no meaning for {source}")
    waiting = f"another pull of {name} is running; waiting for it to finish"
    with exclusive(f"{model.name}-{variant.name}", lambda: say(waiting)):
        present = read_lock().installed.get(name)
        if present and present.in_place() and _matches(present, source, revision):
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
    if checked == UNVERIFIED:
        say(
            f"{name} is unverified: the sha256 of {fetched.origin} has not been measured yet. The "
            f"sha256 of this file is noted in {lock_path()}, and later pulls must receive the same"
        )
    say(f"{name}: {path} ({entry.size / 1e6:.1f} MB, sha256 {entry.sha256}, {variant.licence})")
    return entry


def _default_source(name: str, variant: Variant, revision: str | None) -> str:
    """Return the source for a pull that names none."""
    if variant.published or revision is not None:
        return "hub"
    if variant.upstream is None:
        raise UserError(f"{name} is not published yet; name a file or an address with --source")
    return "upstream"


def _matches(present: Installed, source: str | None, revision: str | None) -> bool:
    """Return whether the installed weights are the requested ones."""
    if revision is not None and revision != present.revision:
        return False
    if source is None or source in ("hub", "upstream"):
        return source in (None, present.source)
    return present.origin == _origin_of(source)


def _fetch(
    model: ModelSpec,
    variant: Variant,
    source: str,
    revision: str | None,
    say: Callable[[str], None],
) -> _Fetched:
    if source == "hub":
        return _from_hub(model, variant, revision or variant.revision, say)
    if source == "upstream":
        if variant.upstream is None:
            raise UserError(
                f"{model.name}:{variant.name} was trained by the zoo and has no upstream; leave "
                "--source upstream out"
            )
        known = variant.upstream.sha256
        expected = ((known, _CATALOGUE),) if known else ()
        return _from_url("upstream", variant.upstream.url, expected, say)
    if "://" in source:
        return _from_url("url", source, (), say)
    path = expand_user(source)
    if not path.is_file():
        raise UserError(
            f"--source {source}: there is no such file; use hub, upstream, a file, or an https "
            "address"
        )
    return _Fetched(path, "file", _origin_of(source), None, (), temporary=False)


def _from_hub(
    model: ModelSpec, variant: Variant, revision: str, say: Callable[[str], None]
) -> _Fetched:
    """Fetch a file into the Hugging Face cache with the Hub's own client."""
    assert model.hub is not None, "a model with variants has a repository"
    origin = f"hub:{model.hub}@{revision}:{variant.file}"
    with hub_client(f"cannot pull {model.hub} at revision {revision} from the Hub") as api:
        info = api.model_info(model.hub, revision=revision, files_metadata=True)
        for sibling in info.siblings:
            check_repo_path(sibling.rfilename)
        files = {sibling.rfilename: sibling for sibling in info.siblings}
        if variant.file not in files:
            raise UserError(
                f"{model.hub} has no {variant.file} in revision {revision}; name another --revision"
            )
        expected = _expected(variant, origin)
        lfs = files[variant.file].lfs
        if lfs is not None:
            expected += ((lfs.sha256, _HUB),)
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
    """Fetch a file from an address into the zoo's folder of downloads."""
    check_url(url)
    folder = regzoo_home() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(urlsplit(url).path).name or "weights"
    pinned = read_lock().pins.get(url)
    if pinned:
        expected += ((pinned, _EARLIER_PULL),)
    _agree(url, expected)
    say(f"fetching {url}")
    download(url, folder / name)
    return _Fetched(folder / name, source, url, None, expected, temporary=True)


def _expected(variant: Variant, origin: str) -> tuple[tuple[str, str], ...]:
    """Return the sha256 of a file of the Hub as the catalogue and an earlier pull state it."""
    known = ((variant.sha256, _CATALOGUE),) if variant.sha256 else ()
    pinned = read_lock().pins.get(origin)
    return known + (((pinned, _EARLIER_PULL),) if pinned else ())


def _agree(origin: str, expected: tuple[tuple[str, str], ...]) -> None:
    """Refuse a file before it is fetched if its known sha256 values contradict each other."""
    for (first, states), (second, denies) in pairwise(expected):
        if first != second:
            raise UserError(_mismatch(origin, first, states, f"{denies} states {second}"))


def _check(fetched: _Fetched) -> tuple[str, str]:
    """Return the file's sha256 and what it was compared with; delete a file that is refused."""
    sha256 = sha256_of(fetched.path)
    try:
        for expected, states in fetched.expected:
            if sha256 != expected:
                received = f"the file has {sha256}"
                raise UserError(_mismatch(fetched.origin, expected, states, received))
        if fetched.path.suffix == ".safetensors":
            read_weights_header(fetched.path)
    except UserError:
        if fetched.temporary:
            _remove(fetched.path)
        raise
    return sha256, fetched.expected[0][1] if fetched.expected else UNVERIFIED


def _mismatch(origin: str, sha256: str, states: str, received: str) -> str:
    """Return the message for a file whose sha256 is not the one that `states` names."""
    advice = (
        f"; if its owners replaced the file, delete its line from {lock_path()} and pull again"
        if states == _EARLIER_PULL
        else ""
    )
    return f"{origin} is refused: {states} states the sha256 {sha256}, but {received}{advice}"


def _remove(path: Path) -> None:
    """Delete a fetched file and, if it is a link into the cache, the file that it leads to."""
    behind = path.resolve()
    path.unlink(missing_ok=True)
    behind.unlink(missing_ok=True)


def _place(fetched: _Fetched, model: ModelSpec, variant: Variant) -> Path:
    """Put weights that did not come from the Hub in the zoo's folder, as safetensors."""
    target = weights_folder(model.name, variant.name) / "model.safetensors"
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(LEFTOVERS):  # of a killed pull
        leftover.unlink(missing_ok=True)
    try:
        if fetched.path.suffix == ".safetensors":
            _check_fit(fetched, model, variant)
            with atomic_path(target) as temporary:
                shutil.copyfile(fetched.path, temporary)
        else:
            _convert(fetched, model, variant, target)
    finally:
        if fetched.temporary:
            shutil.rmtree(fetched.path.parent, ignore_errors=True)
    return target


def _check_fit(fetched: _Fetched, model: ModelSpec, variant: Variant) -> None:
    """Refuse the weights of another network, and others than those that the catalogue lists."""
    from zoo.hub.convert import expected_shapes

    name, width = _architecture(model), variant.width
    wanted, shapes = expected_shapes(name, width), read_weights_header(fetched.path).shapes
    differ = sorted(k for k in wanted.keys() | shapes.keys() if wanted.get(k) != shapes.get(k))
    refused = f"{fetched.origin} is refused as weights of {model.name}:{variant.name}"
    if differ:
        raise UserError(
            f"{refused} ({name}, width {width}): {len(differ)} of its tensors do not fit, such as "
            f"{differ[0]}; name the file of this model"
        )
    if variant.sha256 is not None and sha256_of(fetched.path) != variant.sha256:
        raise UserError(f"{refused}: the catalogue states the sha256 {variant.sha256}")


def _convert(fetched: _Fetched, model: ModelSpec, variant: Variant, target: Path) -> None:
    from zoo.hub.convert import convert

    convert(
        fetched.path,
        target,
        architecture=_architecture(model),
        width=variant.width,
        licence=variant.licence,
        url=fetched.origin if "://" in fetched.origin else None,
    )


def _architecture(model: ModelSpec) -> str:
    assert model.architecture is not None, "a model with variants has an architecture"
    return model.architecture.name


def _origin_of(source: str) -> str:
    return source if "://" in source else str(expand_user(source).resolve())
