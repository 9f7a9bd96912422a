"""The pair of the tests of instance optimisation."""

import pytest
from support.instance_cases import pair_with_map


@pytest.fixture(scope="module")
def phantom():
    return pair_with_map()
