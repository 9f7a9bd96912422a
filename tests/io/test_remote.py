"""Files at URLs are listed, downloaded and refused as local ones are."""

import pickle
from datetime import datetime, timedelta, timezone

import fsspec
import pytest

from zoo import UserError
from zoo.io.remote import RemoteFolder, checked_url, is_url

MEMORY = fsspec.filesystem("memory")


@pytest.fixture
def bucket():
    MEMORY.pipe({"/bucket/study/a/b.txt": b"content", "/bucket/study/c.txt": b"x"})
    yield "memory://bucket/study"
    MEMORY.rm("/bucket", recursive=True)


def test_a_folder_lists_its_files_with_sizes(bucket):
    folder = RemoteFolder(f"{bucket}/")
    sizes = {name: version["size"] for name, version in folder.list_files().items()}
    assert sizes == {"a/b.txt": 7, "c.txt": 1}
    assert folder.listed_version("c.txt") == RemoteFolder(bucket).version("c.txt")
    assert pickle.loads(pickle.dumps(folder)).version("c.txt") == folder.version("c.txt")


def test_a_download_is_the_file_and_a_new_version_is_noticed(bucket, tmp_path):
    folder = RemoteFolder(bucket)
    before = folder.download("a/b.txt", tmp_path / "x" / "b.txt")
    assert (tmp_path / "x" / "b.txt").read_bytes() == b"content"
    assert folder.version("a/b.txt") == before
    MEMORY.pipe("/bucket/study/a/b.txt", b"CONTENT")
    assert folder.version("a/b.txt") != before


def test_a_file_that_changes_while_it_is_read_is_refused(bucket, tmp_path, monkeypatch):
    copy = type(MEMORY).get_file

    def get_file(self, source, target, **more):
        copy(self, source, target, **more)
        MEMORY.pipe("/bucket/study/c.txt", b"y")

    monkeypatch.setattr(type(MEMORY), "get_file", get_file)
    with pytest.raises(UserError, match="has changed while it was read"):
        RemoteFolder(bucket).download("c.txt", tmp_path / "c.txt")


def test_what_is_missing_is_named(bucket):
    with pytest.raises(UserError, match=r"there is no memory://bucket/study/d.txt"):
        RemoteFolder(bucket).version("d.txt")


def test_links_that_lead_out_of_a_folder_on_the_disk_are_not_listed(tmp_path):
    (tmp_path / "study").mkdir()
    for name in ("secret.txt", "study/a.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "study" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "study" / "inside.txt").symlink_to(tmp_path / "study" / "a.txt")
    assert set(RemoteFolder(f"file://{tmp_path}/study").list_files()) == {"a.txt", "inside.txt"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://key:secret@bucket/study", "leave them out"),
        ("s3://bucket/study?X-Amz-Signature=secret", "leave them out"),
        ("file:///a::s3://secret@b", "leave them out"),
        ("http://example.org/secret", "http:// is not read; use s3://, gs://"),
        ("s3://bucket/../secret", "leads out of a folder"),
    ],
)
def test_an_address_with_credentials_or_of_another_kind_is_refused(url, message):
    with pytest.raises(UserError, match=message) as error:
        checked_url(url)
    assert "secret" not in str(error.value) or ".." in url


def test_a_missing_package_is_named_by_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    pattern = r"^s3://bucket/study needs a package .* pip install 'regzoo\[s3\]'$"
    with pytest.raises(UserError, match=pattern):
        RemoteFolder("s3://bucket/study").list_files()


def test_only_addresses_are_urls():
    for url in ("s3://b/x.nii.gz", "g+S.3-x://", "File:///a"):
        assert is_url(url)
    for other in ("/a/b.nii.gz", "C:\\a.nii", "a://"[:2], None, "s3:/b/x", "3://a", " s3://a"):
        assert not is_url(other)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/study/", "s3://bucket/study"),
        ("gs://bucket/a@b/c:d", "gs://bucket/a@b/c:d"),
        ("memory://bucket/a..b/...", "memory://bucket/a..b/..."),
        ("file:///data", "file:///data"),
    ],
)
def test_allowed_addresses_lose_only_a_slash_at_their_end(url, expected):
    assert checked_url(url) == expected
    assert RemoteFolder(url).url_of("x/a.nii") == f"{expected}/x/a.nii"


def test_the_version_of_the_listing_is_kept(bucket):
    folder = RemoteFolder(bucket)
    assert folder.listed_version("c.txt") == folder.version("c.txt")
    listed = folder.list_files()["c.txt"]
    MEMORY.pipe({"/bucket/study/c.txt": b"longer", "/bucket/study/new.txt": b"new"})
    assert folder.listed_version("c.txt") == listed
    assert folder.version("c.txt")["size"] == 6
    assert folder.listed_version("new.txt")["size"] == 3


def test_downloads_make_the_folders_that_they_need(bucket, tmp_path):
    target = tmp_path / "x" / "y" / "b.txt"
    for content in (b"content", b"other"):
        MEMORY.pipe("/bucket/study/a/b.txt", content)
        assert RemoteFolder(bucket).download("a/b.txt", target)["size"] == len(content)
        assert target.read_bytes() == content


def test_a_download_that_ends_early_is_refused(bucket, tmp_path, monkeypatch):
    def get_file(self, source, target, **more):
        with open(target, "wb") as stream:  # noqa: PTH123
            stream.write(b"cont")

    monkeypatch.setattr(type(MEMORY), "get_file", get_file)
    with pytest.raises(UserError, match=f"{bucket}/a/b.txt has changed while it was read"):
        RemoteFolder(bucket).download("a/b.txt", tmp_path / "b.txt")


NOON = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"size": 5, "ETag": "x", "mtime": 1.5}, {"size": 5, "version": "x"}),
        ({"size": None, "etag": None, "generation": 7}, {"size": 0, "version": "7"}),
        ({"size": "3", "LastModified": NOON}, {"size": 3, "version": str(NOON.timestamp())}),
        ({"size": 0, "created": NOON + timedelta(hours=1), "ETag": None, "updated": "u"},
         {"size": 0, "version": "u"}),
        ({"size": 2}, {"size": 2, "version": ""}),
    ],
)  # fmt: skip
def test_the_version_of_a_file_is_what_its_file_system_knows(bucket, monkeypatch, info, expected):
    monkeypatch.setattr(type(MEMORY), "info", lambda self, path, **more: info)
    assert RemoteFolder(bucket).version("c.txt") == expected


@pytest.mark.parametrize(
    ("error", "pattern"),
    [
        (FileNotFoundError("x"), "^there is no {url}; check the address$"),
        (PermissionError("x"), "^no permission to read {url}; check the credentials$"),
        (
            TimeoutError("slow"),
            r"^cannot read {url} \(TimeoutError: slow\); check the address, the",
        ),
        (ImportError("no aiohttp"), r"^{url} needs a package .*\(no aiohttp\): pip install"),
    ],
)
def test_what_prevents_reading_is_one_error(bucket, monkeypatch, error, pattern):
    def info(self, path, **more):
        raise error

    monkeypatch.setattr(type(MEMORY), "info", info)
    with pytest.raises(UserError, match=pattern.format(url=f"{bucket}/c.txt")):
        RemoteFolder(bucket).version("c.txt")
