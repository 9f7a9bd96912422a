"""Files at URLs are listed, downloaded and refused as local ones are."""

import pickle

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
    with pytest.raises(UserError, match=r"pip install 'regzoo\[s3\]'"):
        RemoteFolder("s3://bucket/study").list_files()


def test_only_addresses_are_urls():
    assert is_url("s3://b/x.nii.gz")
    for other in ("/a/b.nii.gz", "C:\\a.nii", "a://"[:2], None, "s3:/b/x"):
        assert not is_url(other)
