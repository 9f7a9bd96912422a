import gzip
import os

import pytest

from zoo import UserError
from zoo.io.files import existing_file, first_bytes, is_gzip


def test_head_looks_through_gzip(tmp_path):
    (tmp_path / "plain").write_bytes(b"0123456789")
    (tmp_path / "packed").write_bytes(gzip.compress(b"0123456789"))
    for name in ("plain", "packed"):
        assert first_bytes(tmp_path / name, 4) == b"0123"
        assert first_bytes(tmp_path / name, 99) == b"0123456789"
        assert is_gzip(tmp_path / name) == (name == "packed")


def test_head_of_a_broken_gzip_is_empty(tmp_path):
    (tmp_path / "a").write_bytes(b"\x1f\x8b but not gzip")
    assert first_bytes(tmp_path / "a", 4) == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(UserError, match="no permission"):
        existing_file(tmp_path / "a")


def test_a_link_to_nowhere_is_missing(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    with pytest.raises(UserError, match="there is no file"):
        existing_file(tmp_path / "a")


def test_a_name_too_long_and_a_circle_of_links_are_told_in_words(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("x" * 300, "circle"):
        with pytest.raises(UserError, match=r"cannot read|there is no file"):
            existing_file(tmp_path / name)
