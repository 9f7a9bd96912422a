import contextlib
import os
import signal

import pytest

from zoo.runtime.signals import Stopped, StopSignal


def test_a_signal_is_recorded_and_the_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as stop:
        assert (stop.requested, stop.exit_code) == (False, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)  # the first signal counts
        assert (stop.requested, stop.exit_code) == (True, 143)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruptible_block_does_not_begin_after_a_signal():
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped), stop.interruptible():
            pytest.fail("the block began")


def test_a_signal_interrupts_an_interruptible_block():
    reached = []
    with StopSignal() as stop, contextlib.suppress(Stopped), stop.interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        reached.append("the end")
    assert reached == []
    assert stop.exit_code == 130
