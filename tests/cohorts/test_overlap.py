"""Loading, processing and saving of different items run at the same time."""

import threading
import weakref

import pytest

from zoo.cohorts.in_process import process_overlapped

COUNT = 4


def test_the_next_item_is_loaded_and_the_last_one_saved_while_one_is_processed():
    """Each step waits for the one that must run beside it; in sequence they would time out."""
    loaded, started, saved = ([threading.Event() for _ in range(COUNT)] for _ in range(3))

    def items():
        for k in range(COUNT):
            loaded[k].set()
            yield k

    def process(k):
        started[k].set()
        assert k == COUNT - 1 or loaded[k + 1].wait(10)
        return 10 * k

    def save(k, result):
        assert result == 10 * k
        assert k == COUNT - 1 or started[k + 1].wait(10)
        saved[k].set()

    process_overlapped(items(), process, save)
    assert all(event.is_set() for event in saved)


class Item:
    """An object whose lifetime can be observed."""


def test_at_most_three_items_exist_at_a_time():
    existing = weakref.WeakSet()
    counts = []

    def items():
        for _ in range(10):
            item = Item()
            existing.add(item)
            counts.append(len(existing))
            yield item
            del item

    process_overlapped(items(), lambda _: 1, lambda *_: None)
    assert max(counts) <= 3


def test_an_item_without_a_result_is_not_saved():
    saved = []
    process_overlapped(
        iter([1, 2, 3]), lambda k: None if k == 2 else k, lambda *pair: saved.append(pair)
    )
    assert saved == [(1, 1), (3, 3)]


def test_an_error_ends_the_loop_after_the_running_save():
    saved = []

    def process(k):
        if k == 3:
            raise ZeroDivisionError
        return k

    with pytest.raises(ZeroDivisionError):
        process_overlapped(iter(range(1, 9)), process, lambda k, _: saved.append(k))
    assert saved == [1, 2]
