"""The papers to cite for a model: the references in the metadata of its bundle."""

from __future__ import annotations

from zoo.hub.catalogue import load_catalogue
from zoo.io.json_documents import read_json_object


def citations(model: str | None) -> list[str]:
    """Return the references of a model, the paper of the model itself first.

    The list is empty for a bundle from elsewhere, whose model the zoo does not know.
    """
    spec = None if model is None else load_catalogue().get(model)
    metadata = None if spec is None else spec.folder / "configs" / "metadata.json"
    if metadata is None or not metadata.is_file():
        return []
    return [str(reference) for reference in read_json_object(metadata).get("references", [])]
