"""Compact forms of volumes for a page: one byte per voxel, compressed, as text.

Arrays are stored with the first axis fastest, as WebGL and NIfTI expect them.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 256
SAMPLES = 200_000  # voxels from which the levels are chosen
BINS = 1024
TABLE = 1 << 16  # intensities of the table that gives the nearest level
OUTLIERS = 0.0005  # share of the voxels at each end that are clipped
MOST_OF_A_BIN = 4  # times the mean; a uniform background does not take up most of the levels


def packed(data: bytes, level: int = 6) -> str:
    """Return bytes compressed with gzip, in base64; equal bytes give equal texts."""
    return base64.b64encode(gzip.compress(data, level, mtime=0)).decode()


def packed_array(values: NDArray[Any]) -> str:
    """Return an array [X, Y, Z], little-endian, as text; the first axis is the fastest."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return packed(np.asarray(little).tobytes(order="F"))


def intensity_levels(image: Tensor) -> NDArray[np.float64]:
    """Return 256 rising intensities that represent an image: (256,).

    They are denser where the image has more voxels, so that soft tissue in CT keeps its contrast.
    Half of them follow the histogram and half are evenly spaced.
    """
    skip = max(1, round((image.numel() / SAMPLES) ** (1 / 3)))
    samples = image[::skip, ::skip, ::skip].flatten().double().numpy()
    low, high = np.quantile(samples, [OUTLIERS, 1 - OUTLIERS])
    if not high > low:
        low, high = samples.min(), samples.max()
    if not high > low:
        high = low + 1
    counts, edges = np.histogram(samples, BINS, (low, high))
    capped = np.minimum(counts, MOST_OF_A_BIN * counts.mean())
    share = np.concatenate([[0], np.cumsum(capped)]) / capped.sum()
    rank = (share + np.linspace(0, 1, BINS + 1)) / 2
    levels: NDArray[np.float64] = np.interp(np.linspace(0, 1, LEVELS), rank, edges)
    return levels


def to_codes(image: Tensor, levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the index of the nearest of 256 levels for each voxel."""
    low, width = float(levels[0]), float(levels[-1] - levels[0])
    places = np.linspace(low, low + width, TABLE)
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, places).astype(np.uint8)
    # A table is several times as fast as a search for each voxel.
    index = ((image - low) * ((TABLE - 1) / width)).clamp_(0, TABLE - 1).round_().int()
    return torch.from_numpy(nearest)[index].numpy()
