"""The model card of a bundle: the YAML at its head that the Hub reads, and its own text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue

_ARXIV = re.compile(r"arxiv[:./ ]*(?:abs/)?(\d{4}\.\d{4,5})", re.IGNORECASE)
_LEADS_OUT = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)]+)\)")
# What the bundle is for; the Hub has no task of its own for registration.
_PIPELINE = "image-to-image"
_TAGS = ("monai", "medical", "image-registration", "3d")


def model_card(bundle: Path, metadata: Mapping[str, Any]) -> str:
    """README.md for the Hub: front matter from the metadata and the catalogue, then the text.

    The text is docs/README.md, else README.md; its own front matter wins where it has one.
    """
    import yaml

    own, text = _split(_text(bundle))
    front = {**front_matter(bundle.resolve().name, metadata), **own}
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n{_LEADS_OUT.sub(_named, text)}"


def _named(link: re.Match[str]) -> str:
    """Return a link out of the bundle, which would lead nowhere on the Hub, as words."""
    return f"{link[1]} ({link[2]} of the zoo)"


def front_matter(name: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub should know: tags, library, licence, arXiv ids, modalities, anatomies, metrics.

    The metadata's keys license, arxiv, modalities, anatomies, metrics and datasets win over the
    catalogue's; arXiv ids are also read from the metadata's references.
    """
    model = load_catalogue().get(name)
    known: dict[str, Any] = {}
    if model is not None:
        known = {
            key: getattr(model, key) for key in ("arxiv", "modalities", "anatomies", "metrics")
        }
        known["license"] = model.licence
    keys = ("license", "arxiv", "modalities", "anatomies", "metrics", "datasets")
    known.update({key: metadata[key] for key in keys if key in metadata})
    cited = _ARXIV.findall(" ".join(map(str, metadata.get("references", []))))
    arxiv = dict.fromkeys([*known.get("arxiv", ()), *cited])
    kinds = [*known.get("modalities", ()), *known.get("anatomies", ())]
    tags = [
        *_TAGS,
        *(_tag(kind) for kind in kinds if kind != "any"),
        *(f"arxiv:{i}" for i in arxiv),
    ]
    front: dict[str, Any] = {
        "library_name": "monai",
        **_licence(str(known.get("license", ""))),
        "pipeline_tag": _PIPELINE,
        "tags": list(dict.fromkeys(tags)),
    }
    for key in ("metrics", "datasets"):
        if known.get(key):
            front[key] = list(known[key])
    return front


def _licence(licence: str) -> dict[str, str]:
    """The Hub's licence field: an SPDX-like id in lower case, or `other` with its name."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        return {"license": licence.lower()}
    return {"license": "other", "license_name": _tag(licence or "none stated")}


def _text(bundle: Path) -> str:
    for path in (bundle / "docs" / "README.md", bundle / "README.md"):
        if path.is_file():
            try:
                return path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path} is not UTF-8; save it so") from error
    raise UserError(f"{bundle} has no model card: write docs/README.md")


def _split(text: str) -> tuple[dict[str, Any], str]:
    """A card's own front matter and the rest."""
    import yaml

    found = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    if found is None:
        return {}, text
    try:
        front = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise UserError(f"the model card's front matter is not YAML: {error}") from error
    return front if isinstance(front, dict) else {}, text[found.end() :]


def _tag(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
