"""Refusals of files, and a limit of memory for the tests of limits."""

import pytest

from zoo import UserError


def refused(path, content, pattern, read):
    path.write_bytes(content)
    with pytest.raises(UserError, match=pattern) as refusal:
        read(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
