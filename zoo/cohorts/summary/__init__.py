"""The summary of a cohort: its files, its page, and the finished pairs that they are made from."""

from zoo.cohorts.summary.files import (
    SUMMARY,
    Overview,
    copy_summary,
    entry_of,
    summary_text,
    write_summary,
)
from zoo.cohorts.summary.finished_pairs import FinishedPairs
from zoo.cohorts.summary.page import summary_rows

__all__ = [
    "SUMMARY",
    "FinishedPairs",
    "Overview",
    "copy_summary",
    "entry_of",
    "summary_rows",
    "summary_text",
    "write_summary",
]
