import gzip
import os

import pytest

from zoo import UserError
from zoo.io.files import existing_file, first_bytes, is_gzip


def test_first_bytes_decompresses_gzip(tmp_path):
    (tmp_path / "plain").write_bytes(b"0123456789")
    (tmp_path / "packed").write_bytes(gzip.compress(b"0123456789"))
    for name in ("plain", "packed"):
        assert first_bytes(tmp_path / name, 4) == b"0123"
        assert first_bytes(tmp_path / name, 99) == b"0123456789"
        assert is_gzip(tmp_path / name) == (name == "packed")


def test_first_bytes_of_a_damaged_gzip_are_empty(tmp_path):
    (tmp_path / "a").write_bytes(b"\x1f\x8b but not gzip")
    assert first_bytes(tmp_path / "a", 4) == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    with pytest.raises(UserError, match="no permission"):
        existing_file(tmp_path / "a")


def test_broken_link_is_a_missing_file(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    with pytest.raises(UserError, match="there is no file"):
        existing_file(tmp_path / "a")


def test_long_name_and_circular_link_are_refused(tmp_path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    for name in ("x" * 300, "circle"):
        with pytest.raises(UserError, match=r"cannot read|there is no file"):
            existing_file(tmp_path / name)
