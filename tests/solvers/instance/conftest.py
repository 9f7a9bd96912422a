"""The pair of the tests of instance optimisation."""

import pytest
from support.instance_cases import SHAPE, known_map, texture

from zoo.geometry.sampling import identity_index
from zoo.solvers.instance import ImagePair


@pytest.fixture(scope="module")
def phantom():
    """Return a pair with moving(i + d(i)) = fixed(i), and d."""
    index = identity_index(SHAPE)
    return ImagePair(texture(index), texture(index + known_map())), known_map()
