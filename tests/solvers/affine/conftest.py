import pytest


@pytest.fixture
def few_points(monkeypatch):
    """Align images by a fifth of the points, which is less accurate but quick."""
    levels = ((24, 1_000), (48, 3_000), (80, 6_000))
    monkeypatch.setattr("zoo.solvers.affine.alignment.LEVELS", levels)
