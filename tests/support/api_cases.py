"""The pair and the images in memory of the tests of the Python API."""

from __future__ import annotations

from zoo.io.volume import Volume

QUICK = {"model": "mcbo", "settings": {"affine": "none"}}


def as_pair(data, grid):
    return data.numpy(), grid.affine.numpy()


def as_own(data, grid):
    return Volume(data, grid, "anywhere")
