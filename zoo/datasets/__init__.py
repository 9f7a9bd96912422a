"""Datasets of image pairs: description, discovery, checks, header repair, modality evidence."""

from zoo.datasets.dataset import Dataset
from zoo.datasets.pairs import (
    DatasetPairs,
    Pair,
    PairDataset,
    PairFiles,
    load_pair,
    only_item,
    pair_files,
)
from zoo.datasets.reading import read_dataset

__all__ = [
    "Dataset",
    "DatasetPairs",
    "Pair",
    "PairDataset",
    "PairFiles",
    "load_pair",
    "only_item",
    "pair_files",
    "read_dataset",
]
