"""Which files are DICOM, and which series a path means."""

import pytest
from support.dicom_cases import enhanced, small_slices, write_slices

import zoo.io.dicom.location
from zoo.errors import UserError
from zoo.io.dicom.image import image_files, read_dicom_header
from zoo.io.dicom.location import dicom_files, is_dicom, is_dicom_file, split_location
from zoo.io.dicom.series import find_series, series_in

TOO_LONG = "x" * 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bytes(128) + b"DICM", True),
        (b"x" * 128 + b"DICM" + b"more", True),
        (bytes(127) + b"DICM", False),
        (bytes(129) + b"DICM", False),
        (bytes(128) + b"DICL", False),
        (bytes(128) + b"DICN", False),
        (bytes(128) + b"DIC", False),
        (b"DICM", False),
        (b"z" * 200, False),
        (b"", False),
    ],
)
def test_dicom_is_recognised_by_its_mark_after_128_bytes(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert is_dicom_file(tmp_path / "a") is expected
    assert is_dicom(tmp_path / "a") is expected
    assert is_dicom(tmp_path) is expected
    assert dicom_files(tmp_path) == ([tmp_path / "a"] if expected else [])


@pytest.mark.parametrize("name", [TOO_LONG, f"{TOO_LONG}#1.2", "a\0b", "a\0b#1.2", "missing"])
def test_names_that_no_file_can_have_are_not_dicom(tmp_path, name):
    assert is_dicom(tmp_path / name) is False


def test_a_folder_is_no_file_with_a_mark(tmp_path):
    assert is_dicom_file(tmp_path) is False
    assert is_dicom_file(tmp_path / TOO_LONG) is False
    assert is_dicom(tmp_path) is False


def marked(path):
    """Write a file with the mark of DICOM and no header, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(128) + b"DICM")
    return path


def test_files_of_subfolders_count_unless_they_are_left_out(tmp_path):
    names = ("ct/b", "ct/a", "ct/sub/deep/c", "ct/sub/0")
    b, a, c, zero = (marked(tmp_path / name) for name in names)
    (tmp_path / "ct" / "notes.txt").write_text("n" * 200)
    marked(tmp_path / "elsewhere" / "d")
    (tmp_path / "ct" / "link").symlink_to(tmp_path / "elsewhere")
    assert dicom_files(tmp_path / "ct") == [a, b, zero, c]
    assert dicom_files(tmp_path / "ct", below=True) == [a, b, zero, c]
    assert dicom_files(tmp_path / "ct", below=False) == [a, b]


def test_the_number_of_files_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo.io.dicom.location, "MAX_DICOM_FILES", 4)
    files = [marked(tmp_path / "ct" / name) for name in ("a", "b", "sub/a", "sub/b")]
    assert dicom_files(tmp_path / "ct") == files
    marked(tmp_path / "ct" / "sub" / "c")
    with pytest.raises(UserError, match="ct has more than 4 files; give the folder of one series"):
        dicom_files(tmp_path / "ct")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ct", ("ct", None)),
        ("ct#1.2", ("ct", "1.2")),
        ("ct#", ("ct", "")),
        ("with#sign", ("with#sign", None)),  # a folder that exists
        ("with#sign#1.2", ("with#sign", "1.2")),
        ("missing#1.2", ("missing#1.2", None)),
        ("missing", ("missing", None)),
    ],
)
def test_a_series_is_named_after_the_last_sign_unless_that_is_part_of_a_folder(
    tmp_path, path, expected
):
    (tmp_path / "ct").mkdir()
    (tmp_path / "with#sign").mkdir()
    folder, uid = expected
    assert split_location(tmp_path / path) == (tmp_path / folder, uid)


MIDDLE, LOWEST, HIGHEST = "1.2.5", "1.2.3", "1.2.7"


@pytest.fixture
def study(tmp_path):
    """Three series of two slices each; that with the middle UID is read first."""
    for name, uid in (("a", MIDDLE), ("b", LOWEST), ("c", HIGHEST)):
        write_slices(tmp_path / "study" / name, small_slices(2, series=uid))
    return tmp_path / "study"


@pytest.mark.parametrize(("uid", "name"), [(MIDDLE, "a"), (LOWEST, "b"), (HIGHEST, "c")])
def test_a_series_is_chosen_by_its_uid(study, uid, name):
    found = find_series(f"{study}#{uid}")
    assert (found.uid, str(found.path)) == (uid, f"{study}#{uid}")
    assert [file.path for file in found.files] == sorted((study / name).iterdir())
    assert [frame.path for frame in found.frames] == sorted((study / name).iterdir())
    assert image_files(f"{study}#{uid}") == sorted((study / name).iterdir())


def test_a_folder_with_several_series_is_refused_and_one_with_a_single_series_is_that(study):
    with pytest.raises(
        UserError, match=f"study has 3 DICOM series; .*, as in {study}#1.2.5: "
    ) as e:
        find_series(study)
    assert e.value.code == "several-series"
    assert find_series(study / "b").uid == LOWEST
    assert find_series(study / "b").path == study / "b"


def test_the_series_of_a_folder_are_found_with_or_without_its_subfolders(study):
    write_slices(study, small_slices(3, series="1.2.9"))
    assert [series.uid for series in series_in(study)] == ["1.2.9", MIDDLE, LOWEST, HIGHEST]
    assert [series.uid for series in series_in(study, below=False)] == ["1.2.9"]
    assert [len(series.files) for series in series_in(study)] == [3, 2, 2, 2]


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_file_means_its_series_in_its_folder(study, name):
    folder = study / "all"
    for source in (study / "a", study / "b", study / "c"):
        for file in source.iterdir():
            (folder / "below").mkdir(parents=True, exist_ok=True)
            (folder / f"{source.name}{file.name}").write_bytes(file.read_bytes())
            (folder / "below" / f"{source.name}{file.name}").write_bytes(file.read_bytes())
    (plan,) = small_slices(1)
    del plan.Rows
    plan.save_as(folder / "plan", enforce_file_format=True)
    expected = sorted(folder.glob(f"{name}IM*"))
    series = find_series(expected[1])
    assert [file.path for file in series.files] == expected
    assert len(expected) == 2


def test_a_file_of_several_frames_is_a_series_without_its_neighbours(tmp_path):
    for name, count in (("a", 2), ("b", 3)):
        dataset = enhanced(small_slices(count, series="1.2.3"))
        dataset.save_as(tmp_path / name, enforce_file_format=True)
    for name, count in (("a", 2), ("b", 3)):
        series = find_series(tmp_path / name)
        assert [file.path for file in series.files] == [tmp_path / name]
        assert len(series.frames) == count


def test_files_without_an_image_are_refused(tmp_path):
    slices = small_slices(3)
    for dataset in slices:
        del dataset.Rows
    folder = write_slices(tmp_path / "plans", slices)
    with pytest.raises(UserError, match="has 3 DICOM files and none holds an image") as raised:
        find_series(folder)
    assert raised.value.code == "no-image"
    with pytest.raises(UserError, match=r"IM0003_0 holds no image") as raised:
        find_series(folder / "IM0003_0")
    assert raised.value.code == "no-image"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "1.2.3 ('Thorax 2.0', CT, 2 slices of 4 x 3)"),
        ({"SeriesDescription": ""}, "1.2.3 (CT, 2 slices of 4 x 3)"),
        ({"Modality": ""}, "1.2.3 ('Thorax 2.0', no modality, 2 slices of 4 x 3)"),
        ({"SeriesInstanceUID": ""}, "no UID ('Thorax 2.0', CT, 2 slices of 4 x 3)"),
    ],
)
def test_a_series_is_described_by_what_is_known(tmp_path, changed, expected):
    slices = small_slices(2, series="1.2.3", **changed)
    assert find_series(write_slices(tmp_path / "ct", slices)).describe() == expected


@pytest.mark.parametrize(
    ("count", "more"), [(2, ""), (20, ""), (21, " and 1 more"), (23, " and 3 more")]
)
def test_at_most_twenty_series_are_listed(tmp_path, count, more):
    for k in range(count):
        write_slices(tmp_path / "ct" / f"{k:02d}", small_slices(1, series=f"1.2.{100 + k}"))
    with pytest.raises(UserError) as raised:
        find_series(tmp_path / "ct")
    text = str(raised.value)
    assert "ct#1.2.100: 1.2.100 ('Thorax" in text
    assert text.count("1 slices of 4 x 3)") == min(count, 20)
    assert text.endswith(f"1 slices of 4 x 3){more}")


def test_the_header_of_an_image_declares_what_its_files_say(tmp_path):
    folder = write_slices(tmp_path / "mr", small_slices(3, Modality="MR", RescaleSlope="0.5"))
    header = read_dicom_header(folder)
    assert (header.dtype, header.modality, header.body_part) == ("float32", "MR", "CHEST")
    assert header.files == tuple(sorted(folder.iterdir()))
    assert header.warnings == ()
    assert image_files(tmp_path / "a.nii.gz") == [tmp_path / "a.nii.gz"]
