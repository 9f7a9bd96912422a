"""Fixtures for the tests of datasets."""

import sys

import pytest

_OPENED: list[str] | None = None


def _hook(event, arguments):
    if event == "open" and _OPENED is not None:
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_hook)


@pytest.fixture
def opened_files():
    """The names of all files that any library opens during a test."""
    global _OPENED
    _OPENED = []
    yield _OPENED
    _OPENED = None
