"""What several folders of tests of the readers use."""

import tracemalloc

import pytest


@pytest.fixture
def limited_memory():
    """Fail a test that allocates more than 100 MiB."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20
