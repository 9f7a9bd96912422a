"""Untrusted DICOM files: limits hold before memory is allocated, and links do not lead out."""

import time

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless
from support.dicom_cases import analytic_slices, enhanced, write_series, write_slices

import zoo.io.dicom.headers
import zoo.io.dicom.location
from zoo.datasets.path_safety import file_problem
from zoo.errors import UserError
from zoo.io.volume import read_volume


def refused(path, *, code=None):
    """Return the message with which a path is refused, within a second of processor time."""
    started = time.process_time()
    with pytest.raises(UserError) as raised:
        read_volume(path)
    assert time.process_time() - started < 1
    assert code is None or raised.value.code == code
    return str(raised.value)


def test_a_header_of_too_many_voxels_is_refused_before_they_are_allocated(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3), Rows=60000, Columns=60000)
    for dataset in slices:
        dataset.Rows = dataset.Columns = 60000
    write_slices(tmp_path / "ct", slices)
    assert "at most 1073741824 voxels" in refused(tmp_path / "ct", code="too-large")


def test_more_pixels_than_the_file_holds_are_refused(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    for dataset in slices:
        dataset.Rows = 4000
    write_slices(tmp_path / "ct", slices)
    assert "its pixels take 60 bytes, not 48000" in refused(tmp_path / "ct", code="truncated")


def test_a_number_of_frames_without_limit_is_refused(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    dataset = enhanced(slices)
    dataset.NumberOfFrames = 2_000_000_000
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "2000000000 frames" in refused(tmp_path / "a.dcm")


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    dataset = enhanced(slices)
    group = dataset.PerFrameFunctionalGroupsSequence[1]
    group.PlanePositionSequence[0].ImagePositionPatient = ["0", "1e300", "0"]
    dataset.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "finite numbers are needed" in refused(tmp_path / "a.dcm", code="header")


def test_the_deflated_syntax_is_refused_before_it_is_decompressed(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    slices[0].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    slices[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert "deflated" in refused(tmp_path / "a.dcm", code="dicom-deflated")


def test_damaged_compressed_pixels_are_refused(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    rng = np.random.default_rng(0)
    from pydicom.encaps import encapsulate

    for dataset in slices:
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = encapsulate([rng.bytes(200)])
        dataset["PixelData"].VR = "OB"
    write_slices(tmp_path / "ct", slices)
    assert "its compressed pixels" in refused(tmp_path / "ct", code="truncated")


def test_sequences_nested_very_deeply_are_refused(tmp_path):
    slices, _ = analytic_slices(shape=(6, 5, 3))
    slices[0].save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (tmp_path / "a.dcm").read_bytes()
    shared = b"\x00\x52\x29\x92SQ\0\0\xff\xff\xff\xff"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = content.index(b"\xe0\x7f\x10\x00OW")  # before the pixels
    (tmp_path / "a.dcm").write_bytes(content[:at] + 3000 * (shared + item) + content[at:])
    refused(tmp_path / "a.dcm")


def test_a_folder_of_too_many_files_is_refused(tmp_path, monkeypatch):
    write_series(tmp_path / "ct")
    monkeypatch.setattr(zoo.io.dicom.location, "MAX_DICOM_FILES", 5)
    assert "more than 5 files" in refused(tmp_path / "ct")


def test_a_file_above_the_limit_is_refused(tmp_path, monkeypatch):
    write_series(tmp_path / "ct")
    monkeypatch.setattr(zoo.io.dicom.headers, "MAX_DICOM_FILE_BYTES", 100)
    assert "at most 100 are allowed" in refused(tmp_path / "ct")


def test_in_a_dataset_no_slice_is_a_link_that_leads_out(tmp_path):
    write_series(tmp_path / "elsewhere")
    write_series(tmp_path / "data" / "ct")
    assert file_problem(tmp_path / "data", "ct") is None
    target = next((tmp_path / "elsewhere").iterdir())
    (tmp_path / "data" / "ct" / "more").symlink_to(target)
    assert file_problem(tmp_path / "data", "ct").id == "path-link"
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    assert file_problem(tmp_path / "data", "linked").id == "path-link"
    assert file_problem(tmp_path / "data", "missing#1.2").id == "file-missing"
