"""The header of one DICOM file: values that are missing, repeated, in groups, or out of bounds."""

import sys

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from support.dicom_cases import PATIENT, enhanced, small_slices, write_slices

from zoo.errors import UserError
from zoo.io.dicom.headers import read_file_header
from zoo.io.dicom.image import read_dicom

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


def header_of(path, dataset):
    """Write a dataset, and return its header as read."""
    dataset.save_as(path, enforce_file_format=True)
    return read_file_header(path)


def refused(path, dataset, code=None):
    """Return the message with which the header of a dataset is refused."""
    with pytest.raises(UserError) as raised:
        header_of(path, dataset)
    assert raised.value.code == code
    assert str(path) in str(raised.value)
    return str(raised.value)


def one_slice(**attributes):
    """Return a slice with these attributes; one of None is removed."""
    (dataset,) = small_slices(1)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
        if value is None:
            delattr(dataset, keyword)
    return dataset


def frames_object(count=3):
    """Return an enhanced object of `count` frames, in reverse order along the normal."""
    return enhanced(small_slices(count))


def item(**attributes):
    """Return an item of a sequence."""
    out = Dataset()
    for keyword, value in attributes.items():
        setattr(out, keyword, value)
    return out


def test_a_header_holds_what_the_file_says(tmp_path):
    dataset = one_slice(
        BitsStored=12, HighBit=11, PixelRepresentation=1, StudyDate="20240229", RescaleSlope="2.5",
        RescaleIntercept="-7", Modality=" MR ",
    )  # fmt: skip
    header = header_of(tmp_path / "a.dcm", dataset)
    assert header.path == tmp_path / "a.dcm"
    assert header.sop_class == dataset.SOPClassUID
    assert header.sop_instance == dataset.SOPInstanceUID
    assert header.study == dataset.StudyInstanceUID
    assert header.series == dataset.SeriesInstanceUID
    assert header.frame_of_reference == dataset.FrameOfReferenceUID
    assert (header.modality, header.description) == ("MR", "Thorax 2.0")
    assert (header.body_part, header.patient, header.date) == ("CHEST", PATIENT, "20240229")
    assert (header.rows, header.columns, header.stored) == (3, 4, (16, 12, True))
    assert (header.samples, header.photometric) == (1, "MONOCHROME2")
    assert header.transfer_syntax == "1.2.840.10008.1.2.1"
    (frame,) = header.frames
    assert (frame.path, frame.index) == (tmp_path / "a.dcm", 0)
    assert frame.position == (-20, 14, -33)
    assert frame.orientation == (1, 0, 0, 0, 1, 0)
    assert frame.spacing == (1.5, 0.75)
    assert (frame.slope, frame.intercept) == (2.5, -7)


def test_a_printed_header_shows_neither_the_patient_nor_the_date(tmp_path):
    header = header_of(tmp_path / "a.dcm", one_slice(StudyDate="20240229"))
    assert PATIENT not in repr(header)
    assert "20240229" not in repr(header)
    assert "Thorax" in repr(header)


def test_what_is_missing_has_a_default(tmp_path):
    missing = ("BitsStored", "PixelRepresentation", "SamplesPerPixel", "RescaleSlope",
               "RescaleIntercept", "Modality", "ImagePositionPatient", "PixelSpacing",
               "ImageOrientationPatient", "InstanceNumber")  # fmt: skip
    header = header_of(tmp_path / "a.dcm", one_slice(**dict.fromkeys(missing)))
    assert header.stored == (16, 16, False)
    assert (header.samples, header.modality) == (1, "")
    (frame,) = header.frames
    assert (frame.slope, frame.intercept) == (1, 0)
    assert (frame.position, frame.orientation, frame.spacing) == (None, None, None)
    assert frame.order == (0,) * 8


@pytest.mark.parametrize("missing", ["Rows", "Columns", "BitsAllocated"])
def test_a_file_without_the_size_of_its_pixels_holds_no_image(tmp_path, missing):
    assert header_of(tmp_path / "a.dcm", one_slice(**{missing: None})) is None


@pytest.mark.parametrize("missing", [True, False])
def test_the_dataset_names_the_object_or_else_the_file_meta_information(tmp_path, missing):
    dataset = one_slice()
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.3"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.4"
    expected = ("1.2.3", "1.2.4") if missing else (dataset.SOPClassUID, dataset.SOPInstanceUID)
    if missing:
        del dataset.SOPClassUID
        del dataset.SOPInstanceUID
    dataset.save_as(tmp_path / "a.dcm")
    header = read_file_header(tmp_path / "a.dcm")
    assert (header.sop_class, header.sop_instance) == expected


def test_long_texts_are_cut_after_200_characters(tmp_path):
    text = "".join(chr(65 + k % 26) for k in range(300))
    with pytest.warns(UserWarning, match="maximum length"):
        dataset = one_slice(SeriesDescription=text)
    assert header_of(tmp_path / "a.dcm", dataset).description == text[:200]


@pytest.mark.parametrize(
    ("keyword", "value", "count"),
    [
        ("ImagePositionPatient", ["1", "2"], 3),
        ("ImagePositionPatient", ["1", "2", "3", "4"], 3),
        ("ImagePositionPatient", ["1", "nan", "3"], 3),
        ("ImagePositionPatient", ["1", "2", "-inf"], 3),
        ("ImagePositionPatient", ["1000000001", "2", "3"], 3),
        ("ImagePositionPatient", ["1", "-1000000001", "3"], 3),
        ("ImageOrientationPatient", ["1", "0", "0", "0", "1"], 6),
        ("PixelSpacing", "2", 2),
        ("PixelSpacing", ["2", "2", "2"], 2),
        ("RescaleSlope", "nan", 1),
        ("RescaleIntercept", ["1", "2"], 1),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, of the invalid value
def test_an_attribute_with_other_numbers_is_refused(tmp_path, keyword, value, count):
    dataset = one_slice(**{keyword: value})
    said = f"has {keyword} {dataset[keyword].value}; {count} finite numbers are needed"
    assert said in refused(tmp_path / "a.dcm", dataset, "header")


def test_a_refused_attribute_is_quoted_with_60_characters(tmp_path):
    dataset = one_slice(ImagePositionPatient=[f"{k}.12345678901234" for k in range(7)])
    quoted = str(dataset.ImagePositionPatient)[:60]
    assert f"ImagePositionPatient {quoted};" in refused(tmp_path / "a.dcm", dataset, "header")


def test_the_largest_coordinates_are_read(tmp_path):
    dataset = one_slice(ImagePositionPatient=["1000000000", "-1000000000", "0"])
    assert header_of(tmp_path / "a.dcm", dataset).frames[0].position == (1e9, -1e9, 0)


def test_text_instead_of_a_number_is_a_damaged_file(tmp_path):
    one_slice().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(content.replace(b"-1024 ", b"-1o24 "))
    with pytest.raises(UserError, match=r"a\.dcm is truncated or damaged \(ValueError: ") as raised:
        read_file_header(tmp_path / "a.dcm")
    assert raised.value.code == "truncated"


@pytest.mark.parametrize(
    ("keyword", "first", "second"),
    [
        ("TemporalPositionIdentifier", 2, 1),
        ("TriggerTime", "40.5", "3.25"),
        ("EchoNumbers", [7, 1], [6, 5]),
        ("DiffusionBValue", 1000.0, 0.0),
        ("AcquisitionNumber", 12, 9),
        ("InstanceNumber", 12, 9),
    ],
)
def test_volumes_are_in_the_order_of_what_tells_them_apart(tmp_path, keyword, first, second):
    series = generate_uid()
    for name, number, stored in (("a", first, 1124), ("b", second, 1224)):
        slices = small_slices(2, series=series)
        for dataset in slices:
            setattr(dataset, keyword, number)
            dataset.PixelData = np.full(12, stored, "<u2").tobytes()
        write_slices(tmp_path / name, slices)
    values = [int(np.unique(read_dicom(tmp_path, k)[0])[0]) for k in (0, 1)]
    assert values == [200, 100]


def test_what_orders_slices_at_one_position_counts_in_a_fixed_order(tmp_path):
    dataset = one_slice(
        TemporalPositionIdentifier=2, TriggerTime="3.5", EchoNumbers=[4, 40], DiffusionBValue=5.0,
        AcquisitionNumber=6, InstanceNumber=7,
    )  # fmt: skip
    (frame,) = header_of(tmp_path / "a.dcm", dataset).frames
    assert frame.order == (0, 2, 3.5, 4, 5, 6, 7, 0)


def test_an_enhanced_object_may_hold_several_volumes(tmp_path):
    dataset = enhanced([*small_slices(2), *small_slices(2)])  # its frames are in reverse order
    dataset.SOPClassUID = ENHANCED_MR
    for k, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.FrameContentSequence = [item(TemporalPositionIndex=9 - k // 2)]
    dataset.PixelData = b"".join(np.full(12, 1034 + k, "<u2").tobytes() for k in range(4))
    header = header_of(tmp_path / "a.dcm", dataset)
    assert [(frame.index, frame.order[0], frame.order[-1]) for frame in header.frames] == [
        (0, 9, 0), (1, 9, 1), (2, 8, 2), (3, 8, 3)
    ]  # fmt: skip
    earlier, later = (read_dicom(tmp_path / "a.dcm", k)[0][0, 0] for k in (0, 1))
    assert (earlier.tolist(), later.tolist()) == ([13, 12], [11, 10])


def test_the_values_of_a_frame_come_before_those_of_all_frames(tmp_path):
    dataset = frames_object(2)
    first, second = dataset.PerFrameFunctionalGroupsSequence
    first.PixelValueTransformationSequence = [item(RescaleSlope="3", RescaleIntercept="-5")]
    second.PixelValueTransformationSequence = [item(RescaleSlope=None, RescaleIntercept="-6")]
    for group in (first, second):  # attributes outside of a sequence do not matter
        group.Rows, group.SliceThickness, group.StudyTime = 7, "1.5", "120000"
    (shared,) = dataset.SharedFunctionalGroupsSequence
    shared.PixelValueTransformationSequence[0].RescaleSlope = "2"
    dataset.TriggerTime = "12.5"
    one, other = header_of(tmp_path / "a.dcm", dataset).frames
    assert (one.slope, one.intercept) == (3, -5)
    assert (other.slope, other.intercept) == (2, -6)  # the slope of all frames
    assert (one.position, other.position) == ((-20, 14, -31), (-20, 14, -33))
    assert (one.spacing, other.spacing) == ((1.5, 0.75), (1.5, 0.75))
    assert one.order[2] == other.order[2] == 12.5  # that of the object


def test_groups_for_all_frames_may_be_missing(tmp_path):
    dataset = frames_object(2)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    del dataset.SharedFunctionalGroupsSequence
    for group in dataset.PerFrameFunctionalGroupsSequence:
        group.update(shared)
    for frame in header_of(tmp_path / "a.dcm", dataset).frames:
        assert frame.orientation == (1, 0, 0, 0, 1, 0)
        assert (frame.spacing, frame.slope, frame.intercept) == ((1.5, 0.75), 1, -1024)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_position_of_a_file_is_that_of_its_only_frame(tmp_path, count):
    dataset = one_slice(NumberOfFrames=count)
    frames = header_of(tmp_path / "a.dcm", dataset).frames
    assert [frame.index for frame in frames] == list(range(count))
    assert [frame.order[-1] for frame in frames] == list(range(count))
    expected = [(-20, 14, -33)] if count == 1 else [None] * count
    assert [frame.position for frame in frames] == expected


@pytest.mark.parametrize("count", [2, 4, 20000])
def test_frames_that_are_not_all_described_are_refused(tmp_path, count):
    dataset = frames_object(3)
    dataset.NumberOfFrames = count
    text = refused(tmp_path / "a.dcm", dataset, "truncated")
    assert f"it has {count} frames and describes 3" in text


@pytest.mark.parametrize("count", [-1, 20001])
def test_the_number_of_frames_is_limited(tmp_path, count):
    text = refused(tmp_path / "a.dcm", one_slice(NumberOfFrames=count))
    assert f"has {count} frames; 1 to 20000 are allowed" in text


def test_a_file_of_the_largest_allowed_size_is_read(tmp_path, monkeypatch):
    one_slice().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    size = (tmp_path / "a.dcm").stat().st_size
    monkeypatch.setattr("zoo.io.dicom.headers.MAX_DICOM_FILE_BYTES", size)
    assert read_file_header(tmp_path / "a.dcm").rows == 3
    monkeypatch.setattr("zoo.io.dicom.headers.MAX_DICOM_FILE_BYTES", size - 1)
    with pytest.raises(UserError, match=f"has {size} bytes; at most {size - 1} are allowed"):
        read_file_header(tmp_path / "a.dcm")


def test_pydicom_that_is_not_installed_is_named(tmp_path, monkeypatch):
    one_slice().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UserError, match=r"a\.dcm: DICOM needs pydicom; .*'regzoo\[dicom\]'"):
        read_file_header(tmp_path / "a.dcm")
