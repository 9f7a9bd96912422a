"""Describing a folder of images as a dataset: by file names, or by the headers of DICOM series."""

from zoo.datasets.discovery.description import Discovery, describe_folder, discover

__all__ = ["Discovery", "describe_folder", "discover"]
