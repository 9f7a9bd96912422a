import os

import pytest

from zoo import UserError
from zoo.cohorts.processes import (
    ProcessRank,
    local_rank,
    local_world_size,
    rank_from_environment,
    threads_per_process,
)


def test_without_torchrun_there_is_no_rank(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert rank_from_environment() is None
    assert (local_rank(), local_world_size()) == (0, 1)


def test_the_rank_is_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert rank_from_environment() == ProcessRank(1, 2)


@pytest.mark.parametrize(
    ("rank", "world_size", "message"),
    [("2", "2", "RANK=2"), ("-1", "2", "RANK=-1"), ("a", "2", "must be whole numbers")],
)
def test_an_impossible_rank_is_refused(monkeypatch, rank, world_size, message):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world_size)
    with pytest.raises(UserError, match=message):
        rank_from_environment()


def test_processors_are_shared_evenly_unless_a_number_is_set(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [threads_per_process(None, n) for n in (1, 3, 20)] == [8, 2, 1]
    assert threads_per_process(5, 2) == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_per_process(None, 2) is None
