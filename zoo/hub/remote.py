"""The client of the Hugging Face Hub, with a check of redirects and errors of one line each."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from zoo.errors import UserError
from zoo.hub.download import refuse_scheme_change

_STATUS = {
    401: "you are not logged in: run `hf auth login` or set HF_TOKEN",
    403: "your token does not allow this: ask the owner for access, or use another token",
    404: "the Hub does not have it; check the name",
    409: "the Hub is busy with another change; run the command again",
    413: "it is too large for the Hub",
    429: "the Hub received too many requests; wait some minutes and run the command again",
}


@contextmanager
def hub_client(what: str) -> Iterator[Any]:
    """Yield the Hub's client (`HfApi`); its errors become `UserError`s that begin with `what`.

    While the client is in use, redirects to another scheme are refused.
    """
    from huggingface_hub import HfApi, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    set_client_factory(lambda: _guarded(default_client_factory()))
    try:
        yield HfApi(library_name="regzoo")
    except UserError:
        raise
    except Exception as error:
        reason = next(filter(None, map(_reason, _chain(error))), None)
        if reason is None:
            raise
        raise UserError(f"{what}: {reason}") from error
    finally:
        set_client_factory(default_client_factory)


def check_repo_path(name: str) -> None:
    """Refuse a file name of a repository that would lead out of the folder it is written to."""
    parts = PurePosixPath(name).parts
    bad = (
        not name
        or name.startswith("/")
        or ".." in parts
        or any(c in name for c in "\\:\0")
        or any(ord(c) < 32 for c in name)
    )
    if bad:
        raise UserError(
            f"the repository is refused: its file {name!r} leads out of its folder; tell its owner"
        )


def fetch_bundle(repo_id: str, revision: str | None, folder: Path) -> Path:
    """Download a bundle from the Hub into `folder`; nothing in it is read or run."""
    with hub_client(f"cannot fetch {repo_id} from the Hub") as api:
        info = api.model_info(repo_id, revision=revision)
        for sibling in info.siblings:
            check_repo_path(sibling.rfilename)
        api.snapshot_download(repo_id, revision=info.sha, local_dir=folder)
    return folder


def _reason(error: BaseException) -> str | None:
    """Return an error of the Hub's client in words for the user; None for any other error."""
    from huggingface_hub import errors

    named = {
        errors.OfflineModeIsEnabled: "HF_HUB_OFFLINE is set; unset it to use the network",
        errors.GatedRepoError: "403: the repository is gated: ask for access on its page, then log "
        "in with `hf auth login`",
        errors.RepositoryNotFoundError: "there is no such repository, or it is private and you are "
        "not logged in: check the name, run `hf auth login` or set HF_TOKEN",
        errors.RevisionNotFoundError: "404: the repository has no such revision",
        errors.RemoteEntryNotFoundError: "404: the repository has no such file in this revision",
        errors.HFValidationError: str(error),
    }
    for kind, text in named.items():
        if isinstance(error, kind):
            return text
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        message = error.server_message if status < 500 else None
        return f"{status}: {_STATUS.get(status) or message or 'the Hub failed; try again later'}"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "there is no space left on the disk; free some, or set HF_HOME to another disk"
    if any(kind.__module__.startswith("httpx") for kind in type(error).__mro__):
        return f"cannot reach the Hub ({_first_line(error)}); check the network"
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return f"the file arrived incomplete ({_first_line(error)}); run the command again"
    return None


def _guarded(client: Any) -> Any:
    def hook(response: Any) -> None:
        if response.has_redirect_location:
            refuse_scheme_change(str(response.request.url), response.headers["Location"])

    hooks = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks.get("response", []), hook]}
    return client


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
