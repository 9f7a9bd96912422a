"""Hostile datasets, fingerprints, results and weights, as cases of `support.hostile_cases`."""

from __future__ import annotations

import copy
import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.hostile_cases import (
    DATA,
    EITHER,
    MARK,
    PAYLOADS,
    REFUSED,
    SHELL,
    Case,
    mcbo_config,
    replace_somewhere,
    write_bundle,
)

PAIR = {"fixed": "a.nii.gz", "moving": "b.nii.gz"}
DATASET: dict[str, Any] = {
    "name": "A", "description": "x", "licence": "x", "reference": "x", "release": "1",
    "anatomy": "brain", "pairing": "inter", "pairings": "unpaired", "points_space": "voxel",
    "modality": {"0": "CT", "1": "MR"}, "labels": {"1": "liver"},
    "registration_direction": {"fixed": 0, "moving": 1}, "numRegistration_val": 1,
    "provided_data": {"0": ["image"]}, "img_shift": {"fixed": "x"}, "tensorImageSize": "3D",
    "registration_val": [PAIR],
}  # fmt: skip
COLUMNS = ("fixed", "moving", "fixed_labels", "moving_points", "points_space", "split")


def written(name: str, files: dict[str, str | bytes], words: list[str], outcome: str) -> Case:
    """Return a case that writes files and runs a command; {} in its words is the folder."""

    def arguments(folder: Path) -> list[str]:
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [word.replace("{}", str(folder)) for word in words]

    return Case(name, arguments, outcome)


def dataset_case(name: str, document: Any, outcome: str = REFUSED) -> Case:
    text = document if isinstance(document, str) else json.dumps(document)
    return written(f"dataset: {name}", {"dataset.json": text}, ["plan", "{}"], outcome)


def datasets() -> Iterator[Case]:
    """Every key of a dataset.json with payloads, keys that it does not have, and bad JSON."""
    for key in DATASET:
        for what in ("an expression", "a component", "a macro"):
            yield dataset_case(f"{key} is {what}", DATASET | {key: PAYLOADS[what]})
    for key in ("_target_", "run", "initialize", "+name", "name::x", "nаme", "name ", "$name"):
        yield dataset_case(f"the key {key!a}", DATASET | {key: PAYLOADS["an expression"]})
    for key in ("fixed", "moving", "fixed_labels", "moving_keypoints", "_target_", "reader"):
        for what in ("an expression", "a component"):
            entry = PAIR | {key: PAYLOADS[what]}
            yield dataset_case(f"{key} of a pair is {what}", {"registration_val": [entry]})
    good = json.dumps(DATASET)
    texts = {
        "a duplicate key": good.replace('"name"', '"name": "x", "name"', 1),
        "NaN": good.replace('"numRegistration_val": 1', '"numRegistration_val": NaN'),
        "Infinity": good.replace('"numRegistration_val": 1', '"numRegistration_val": -Infinity'),
        "a long integer": good.replace('_val": 1', '_val": ' + "9" * 6000, 1),
        "an integer of 100 digits": good.replace('_val": 1', '_val": ' + "9" * 100, 1),
        "two byte order marks": "\ufeff\ufeff" + good,
        "deep lists": '{"training": ' + "[" * 5000 + "]" * 5000 + "}",
        "a pickle": f"cos\nsystem\n(V{SHELL}\ntR.",
        "YAML": f"!!python/object/apply:os.system ['{SHELL}']",
        "single quotes": f"{{'__import__': '{SHELL}'}}",
    }
    for name, text in texts.items():
        yield dataset_case(name, text)
    rng = random.Random(2)
    for number in range(30):
        document, what = copy.deepcopy(DATASET), rng.choice(list(PAYLOADS))
        place = replace_somewhere(document, PAYLOADS[what], rng)
        yield dataset_case(f"{number}: {place} is {what}", document)


def tables() -> Iterator[Case]:
    """Columns and cells of pairs.csv."""
    text = f"$open('{MARK}')"
    for column in (text, "_target_", "fixed::x", "@fixed", "fixеd", "fixed\0", "field"):
        content = f"fixed,moving,{column}\na.nii.gz,b.nii.gz,x\n"
        yield written(
            f"table: the column {column!a}", {"pairs.csv": content}, ["plan", "{}"], REFUSED
        )
    for column in COLUMNS:
        cells = {"fixed": "a.nii.gz", "moving": "b.nii.gz"} | {column: text}
        content = f"{','.join(cells)}\n{','.join(cells.values())}\n"
        yield written(f"table: a cell of {column}", {"pairs.csv": content}, ["plan", "{}"], REFUSED)


def fingerprints(good: dict[str, Any], count: int) -> Iterator[Case]:
    """Fingerprints with payloads at random places; most of them are ignored text."""
    rng = random.Random(3)
    for number in range(count):
        document, what = copy.deepcopy(good), rng.choice(list(PAYLOADS))
        place = replace_somewhere(document, PAYLOADS[what], rng)
        words = ["plan", "{}/fingerprint.json"]
        files: dict[str, str | bytes] = {"fingerprint.json": json.dumps(document)}
        yield written(f"fingerprint {number}: {place} is {what}", files, words, EITHER)


def results() -> Iterator[Case]:
    """Results of a registration that name other files or hold other types."""
    good = {"fixed": "{fixed}", "moving": ["{moving}"], "seconds": {"a": 1}, "points_space": "ras"}
    values = [*PAYLOADS.values(), None, 3, [], {}, [[1]], {"a": {"b": "x"}}, f"/{MARK}"]
    for key in (*good, "fixed_labels"):
        for number, value in enumerate(values):
            text = json.dumps(good | {key: value})
            files: dict[str, str | bytes] = {"run/result.json": text, "run/transform.nii.gz": b"x"}
            words = ["evaluate", "{}/run"]
            yield written(f"result: {key} is value {number}", files, words, REFUSED)
    for number, value in enumerate(values):
        case = {"name": "x", "seconds": 1.0, "figures": {"dice_after": 0.5}}
        for key in case:
            text = json.dumps({"cases": [case | {key: value}]})
            files = {"a/figures.json": text, "b/figures.json": text}
            words = ["compare", "{}/a", "{}/b"]
            yield written(f"evaluation: {key} is value {number}", files, words, EITHER)


def safetensors(header: Any, data: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def weights() -> Iterator[Case]:
    """Weights in a bundle whose header contradicts the file, or that are another format."""
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    huge = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    headers: dict[str, Any] = {
        "overlapping tensors": {"a": tensor, "b": tensor},
        "a gap": {"a": tensor},
        "a tensor beyond the end": {"a": huge},
        "negative offsets": {"a": tensor | {"data_offsets": [-4, 0]}},
        "a shape that is a mapping": {"a": tensor | {"shape": {}, "data_offsets": [0, 8]}},
        "an unknown type": {"a": tensor | {"dtype": f"$open('{MARK}')"}},
        "a duplicate name": b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}',
        "metadata that is no text": {"__metadata__": {"size": [1, 2]}, "a": tensor},
        "a size that is an expression": {
            "__metadata__": {"size": f"__import__('os').system('{SHELL}')"},
            "a": tensor | {"shape": [2], "data_offsets": [0, 8]},
        },
        "NaN in the header": b'{"a": NaN}',
        "a header that is too long": b"{" + b" " * (9 << 20) + b"}",
    }
    contents = {name: safetensors(header) for name, header in headers.items()}
    contents["a zip archive"] = b"PK\3\4" + b"\0" * 60
    contents["a length beyond the file"] = struct.pack("<Q", 2**63) + b"{}"
    metadata = {"version": "0.1.0", "trained": {"model": "unireg"}}
    for name, content in contents.items():

        def arguments(folder: Path, content: bytes = content) -> list[str]:
            bundle = write_bundle(folder, {}, metadata)
            (bundle / "models").mkdir()
            (bundle / "models" / "model.safetensors").write_bytes(content)
            return ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]

        yield Case(f"weights: {name}", arguments)


def names_of_files() -> Iterator[Case]:
    """Files and folders whose names MONAI would evaluate; they are only names."""
    odd = (f"$open('{MARK}', 'w')", f"@{MARK}", f"%{MARK}.json::x", f"a#b::{MARK}")
    for number, name in enumerate(odd):

        def renamed(folder: Path, name: str = name) -> list[str]:
            bundle = write_bundle(folder / name, mcbo_config())
            return ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]

        def preset(folder: Path, name: str = name) -> list[str]:
            bundle = write_bundle(folder, mcbo_config())
            path = folder / name
            path.mkdir()
            document = {"kind": "regzoo mcbo preset", "mode": "paper", "changes": {}}
            (path / "p.json").write_text(json.dumps(document))
            words = ["register", "{fixed}", "{moving}", "--bundle", str(bundle)]
            return [*words, "--set", f"preset={path / 'p.json'}"]

        yield Case(f"a bundle in the folder {number}", renamed, DATA)
        yield Case(f"a preset in the folder {number}", preset, DATA)


def dataset_cases(fingerprint: dict[str, Any]) -> Iterator[Case]:
    yield from datasets()
    yield from tables()
    yield from fingerprints(fingerprint, 40)
    yield from results()
    yield from weights()
    yield from names_of_files()
