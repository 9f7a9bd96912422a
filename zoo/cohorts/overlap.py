"""Overlapped processing: load the next item and save the last one while one is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def process_overlapped(
    items: Iterator[T], process: Callable[[T], R | None], save: Callable[[T, R], None]
) -> None:
    """Process each item, while one thread loads the next item and another saves the last result.

    At most three items exist at a time, however many there are. An item for which `process` returns
    None is not saved. An exception of `process` ends the loop after the running load and save.
    """
    with ThreadPoolExecutor(1, "load") as loader, ThreadPoolExecutor(1, "save") as saver:
        loading = loader.submit(next, items, None)
        saving: Future[None] | None = None
        while (item := loading.result()) is not None:
            loading = loader.submit(next, items, None)
            result = process(item)
            if result is None:
                continue
            if saving is not None:
                saving.result()
            saving = saver.submit(save, item, result)
            del item, result  # frees their memory as soon as they are saved
        if saving is not None:
            saving.result()
