"""CITATION.cff is valid: its fields are those of version 1.2.0 of the Citation File Format."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PERSON = {
    "type": "object",
    "anyOf": [{"required": ["name"]}, {"required": ["family-names", "given-names"]}],
    "properties": {
        key: {"type": "string", "minLength": 1} for key in ("name", "family-names", "given-names")
    },
    "additionalProperties": False,
}
PEOPLE = {"type": "array", "minItems": 1, "items": PERSON}
TEXTS = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}}
SCHEMA = {
    "type": "object",
    "required": ["cff-version", "message", "title", "authors"],
    "additionalProperties": False,
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string", "minLength": 1},
        "type": {"enum": ["software", "dataset"]},
        "title": {"type": "string", "minLength": 1},
        "version": {"type": ["string", "number"]},
        "date-released": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        "license": {"const": "Apache-2.0"},
        "authors": PEOPLE,
        "keywords": TEXTS,
        "references": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "title", "authors"],
                "additionalProperties": False,
                "properties": {
                    "type": {"enum": ["article", "conference-paper", "software"]},
                    "title": {"type": "string", "minLength": 1},
                    "year": {"type": "integer", "minimum": 1900},
                    "notes": {"type": "string"},
                    "authors": PEOPLE,
                    "identifiers": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type", "value"],
                            "properties": {"type": {"enum": ["doi", "url", "swh", "other"]}},
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_valid(citation):
    jsonschema.Draft202012Validator(SCHEMA).validate(citation)


def test_a_citation_with_a_misspelt_field_is_not(citation):
    with pytest.raises(jsonschema.ValidationError, match="licence"):
        jsonschema.Draft202012Validator(SCHEMA).validate(citation | {"licence": "Apache-2.0"})


def test_every_paper_of_a_model_card_is_cited(citation):
    cited = {
        match[0]
        for paper in citation["references"]
        for entry in paper["identifiers"]
        if (match := re.search(r"\d{4}\.\d{5}", entry["value"]))
    }
    assert len(cited) == len(citation["references"])
    cards = [path.read_text() for path in ROOT.glob("bundles/*/docs/README.md")]
    papers = {number for card in cards for number in re.findall(r"arXiv:(\d{4}\.\d{5})", card)}
    assert cited <= papers
