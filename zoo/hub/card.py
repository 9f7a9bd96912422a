"""The model card of a bundle: the front matter in YAML that the Hub reads, and the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.hub.catalogue import load_catalogue
from zoo.hub.specs import ModelSpec
from zoo.io.yaml_documents import parse_yaml

_ARXIV = re.compile(r"arxiv[:./ ]*(?:abs/)?(\d{4}\.\d{4,5})", re.IGNORECASE)
_LINK_OUT_OF_BUNDLE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+([^)]+)\)")
# The Hub has no task for registration; this is the nearest one.
_PIPELINE = "image-to-image"
_LISTS = ("arxiv", "modalities", "anatomies", "metrics", "datasets")
_TAGS = ("monai", "medical", "image-registration", "3d")


def model_card(bundle: Path, metadata: Mapping[str, Any]) -> str:
    """Return README.md for the Hub: front matter from metadata and specification, then the text.

    The text is docs/README.md, else README.md. Its own front matter takes precedence.
    """
    import yaml

    own, text = _split(_text(bundle))
    front = {**front_matter(bundle.resolve(), metadata), **own}
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n{_LINK_OUT_OF_BUNDLE.sub(_as_words, text)}"


def _as_words(link: re.Match[str]) -> str:
    """Return a link to a file outside the bundle, which would be broken on the Hub, as words."""
    return f"{link[1]} ({link[2]} of the zoo)"


def front_matter(bundle: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the front matter: library, licence, task, tags, metrics and datasets.

    The keys license, arxiv, modalities, anatomies, metrics and datasets of metadata.json take
    precedence over the model's specification. The licence is that of the weights in the folder.
    arXiv ids are also read from the references in metadata.json.
    """
    model = load_catalogue().get(bundle.name)
    known: dict[str, Any] = {}
    if model is not None:
        known = {
            key: getattr(model, key) for key in ("arxiv", "modalities", "anatomies", "metrics")
        }
        known["license"] = _licence_of_weights(model, bundle)
    known.update({key: _texts(metadata, key) for key in _LISTS if key in metadata})
    if "license" in metadata:
        known["license"] = str(metadata["license"])[:200]
    cited = _ARXIV.findall(" ".join(_texts(metadata, "references")))
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


def _texts(metadata: Mapping[str, Any], key: str) -> list[str]:
    """Return the texts that metadata.json lists under a key."""
    value = metadata.get(key, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise UserError(
            f"configs/metadata.json has {key} {str(value)[:60]!r}; write a list of texts"
        )
    return value


def _licence_of_weights(model: ModelSpec, bundle: Path) -> str:
    """Return the licence of the weights in a bundle's folder; without weights that of the model."""
    variants = [v for v in model.variants.values() if (bundle / v.file).is_file()]
    licences = {variant.licence: variant.name for variant in variants}
    if len(licences) > 1:
        return "; ".join(f"{name} weights: {licence}" for licence, name in licences.items())
    return next(iter(licences), model.licence)


def _licence(licence: str) -> dict[str, str]:
    """Return the Hub's licence fields: an SPDX identifier in lower case, or `other` and a name."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", licence):
        return {"license": licence.lower()}
    return {"license": "other", "license_name": _tag(licence or "none stated")}


def _text(bundle: Path) -> str:
    """Return the text of a bundle's model card."""
    for path in (bundle / "docs" / "README.md", bundle / "README.md"):
        if path.is_symlink():
            raise UserError(f"{path} is a link, which is not published; copy the file there")
        if path.is_file():
            try:
                return path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path} is not UTF-8; save it as UTF-8") from error
    raise UserError(f"{bundle} has no model card; write docs/README.md")


def _split(text: str) -> tuple[dict[str, Any], str]:
    """Return a card's own front matter, empty if it has none, and the text after it."""
    head = re.match(r"---\r?\n(.*?)\r?\n---\r?\n", text, re.DOTALL)
    if head is None:
        return {}, text
    try:
        front = parse_yaml(head[1])
    except ValueError as error:
        raise UserError(
            f"the model card's front matter is not YAML ({error}); correct it"
        ) from error
    return front if isinstance(front, dict) else {}, text[head.end() :]


def _tag(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
