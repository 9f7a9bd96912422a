"""Datasets of image pairs: description, discovery, checks, header repair, modality and pairs."""

from zoo.datasets.archives import archive_problems, is_archive
from zoo.datasets.checks import all_problems
from zoo.datasets.dataset import Dataset
from zoo.datasets.discovery import describe_folder
from zoo.datasets.header_repair import repair_headers
from zoo.datasets.modality import IntensityStatistics
from zoo.datasets.pairs import (
    DatasetPairs,
    Pair,
    PairDataset,
    PairFiles,
    load_pair,
    only_item,
    pair_files,
    unique_pair_names,
)
from zoo.datasets.problems import Problem
from zoo.datasets.reading import read_dataset
from zoo.datasets.scan import DatasetScan, check_content, content_digest, scan_dataset

__all__ = [
    "Dataset",
    "DatasetPairs",
    "DatasetScan",
    "IntensityStatistics",
    "Pair",
    "PairDataset",
    "PairFiles",
    "Problem",
    "all_problems",
    "archive_problems",
    "check_content",
    "content_digest",
    "describe_folder",
    "is_archive",
    "load_pair",
    "only_item",
    "pair_files",
    "read_dataset",
    "repair_headers",
    "scan_dataset",
    "unique_pair_names",
]
