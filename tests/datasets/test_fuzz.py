"""Fuzz tests: any dataset.json and any header give problems or a `UserError`, quickly.

No file outside the dataset's folder is opened meanwhile.
"""

import gzip
import json
import os
import time

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.planning_data import nifti

from zoo.datasets.checks import all_problems
from zoo.datasets.headers import inspect_header
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import scan_dataset
from zoo.errors import UserError

SECONDS = 5
GOOD_NAMES = ["imagesTr/A_0001_0000.nii.gz", "./imagesTr/A_0001_0001.nii.gz"]
BAD_NAMES = ["imagesTr/none.nii.gz", "../outside.nii.gz", "/etc/passwd", "C:\\a", "$HOME/a"]
BAD_NAMES += ["imagesTr/\0", "", "a/" * 600, "imagesTr", "imagesTr/../../outside.nii.gz"]
NAMES = st.sampled_from(GOOD_NAMES + BAD_NAMES)
KEYS = ["training", "registration_val", "test", "validation", "training_paired_images", "name"]
KEYS += ["labels", "modality", "numTraining", "pairings", "pairing", "points_space", "anatomy"]
KEYS += ["registration_direction", "imagesTr"]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9)
)
VALUES = st.recursive(
    SCALARS | NAMES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=3,
)
ENTRY = st.dictionaries(
    st.sampled_from(["image", "fixed", "moving", "label", "mask", "keypoints01", "fixed_labels"]),
    NAMES | VALUES,
    max_size=3,
)
DOCUMENT = st.dictionaries(
    st.sampled_from(KEYS), st.lists(ENTRY | NAMES, max_size=2) | VALUES, max_size=4
)
SETTINGS = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "400")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def folder_of_two(root):
    for slot in (0, 1):
        data = np.random.default_rng(slot).integers(0, 99, (12, 11, 10)).astype(np.int16)
        nifti(root / "imagesTr" / f"A_0001_000{slot}.nii.gz", data)
    return root


def read_in_time(folder, opened):
    opened.clear()
    began = time.monotonic()
    try:
        dataset = read_dataset(folder)
        assert all("outside" not in name for name in dataset.files)
        problems = all_problems(scan_dataset(dataset))
        assert all(str(problem) for problem in problems)
    except UserError:
        pass
    assert time.monotonic() - began < SECONDS
    outside = [p for p in opened if "outside" in p or p == "/etc/passwd"]
    assert not outside


@SETTINGS
@given(document=DOCUMENT)
def test_any_document_is_read_or_is_a_user_error(document, tmp_path_factory, opened_files):
    folder = _shared(tmp_path_factory)
    (folder / "dataset.json").write_text(json.dumps(document), encoding="utf-8")
    read_in_time(folder, opened_files)


@SETTINGS
@given(raw=st.binary(max_size=300))
def test_any_bytes_as_a_document_are_a_user_error(raw, tmp_path_factory, opened_files):
    folder = _shared(tmp_path_factory)
    (folder / "dataset.json").write_bytes(raw)
    read_in_time(folder, opened_files)


FIELDS = [name for name in nib.Nifti1Header.template_dtype.names if name != "sizeof_hdr"]


@SETTINGS
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(FIELDS), st.binary(min_size=1, max_size=16)), max_size=4
    ),
    cut=st.none() | st.integers(0, 3000),
    packed=st.booleans(),
)
def test_any_header_is_read_or_gives_problems(changes, cut, packed, tmp_path_factory):
    folder = _shared(tmp_path_factory)
    dtype = nib.Nifti1Header.template_dtype
    content = bytearray(_good())
    for field, raw in changes:
        start, size = dtype.fields[field][1], dtype.fields[field][0].itemsize
        piece = (raw * size)[:size]
        content[start : start + size] = piece
    blob = gzip.compress(bytes(content), 1) if packed else bytes(content)
    name = "x.nii.gz" if packed else "x.nii"
    (folder / name).write_bytes(blob[:cut])
    began = time.monotonic()
    with np.errstate(all="ignore"):
        header, problems = inspect_header(folder, name)
    assert header is not None or problems
    assert time.monotonic() - began < SECONDS


_FOLDER = []
_GOOD = []


def _shared(factory):
    if not _FOLDER:
        root = factory.mktemp("fuzz")
        nifti(root / "outside.nii.gz")
        _FOLDER.append(folder_of_two(root / "data"))
    return _FOLDER[0]


def _good():
    if not _GOOD:
        image = nib.Nifti1Image(np.zeros((6, 5, 4), np.int16), np.diag([9.0, 9, 9, 1]))
        image.set_sform(image.affine, 1)
        image.set_qform(image.affine, 1)
        _GOOD.append(image.to_bytes())
    return _GOOD[0]
