"""The helper process: what it returns and raises, and what happens if it dies."""

import asyncio
import os

import pytest
import torch

from zoo.app.reader import Reader
from zoo.app.request_error import RequestError
from zoo.errors import UserError
from zoo.io.volume import read_header


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


def call(reader, function, *arguments):
    return asyncio.run(reader.call(function, *arguments))


def test_functions_are_called_in_another_process(reader):
    assert call(reader, os.getpid) != os.getpid()
    assert call(reader, os.getpid) == call(reader, os.getpid)


def test_an_error_for_the_user_arrives_as_it_was_raised(reader, tmp_path):
    with pytest.raises(UserError, match="no file"):
        call(reader, read_header, tmp_path / "nothing.nii")
    with pytest.raises(ZeroDivisionError):
        call(reader, divmod, 1, 0)


@pytest.mark.parametrize("function", [bytes, torch.empty])
def test_too_little_memory_is_said_in_words(reader, function):
    with pytest.raises(RequestError, match="too little memory") as refused:
        call(reader, function, 1 << 60)
    assert refused.value.status == 507


def test_after_its_death_another_process_goes_on(reader):
    before = call(reader, os.getpid)
    with pytest.raises(RequestError, match="killed"):
        call(reader, os._exit, 1)
    assert call(reader, os.getpid) != before
