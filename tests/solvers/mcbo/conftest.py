"""The pair of most tests of MCBO."""

import pytest
from support.mcbo_cases import phantom


@pytest.fixture(scope="module")
def small():
    return phantom((48, 48, 36))
