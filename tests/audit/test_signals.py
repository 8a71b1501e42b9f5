"""Both stop signals ask, also while models load, and afterwards mean what they meant before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from auditor.audit.signals import hold_signals, stop_signals

BOTH = (signal.SIGTERM, signal.SIGUSR2)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[dict[int, object]]:
    """The handlers of a program that ignores both; the test run's own come back after."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in BOTH}
    yield {}
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", BOTH)
def test_while_open_both_ask_to_stop_and_afterwards_do_what_they_did(number: int) -> None:
    asked: list[bool] = []
    with stop_signals(lambda: asked.append(True)):
        assert asked == []
        os.kill(os.getpid(), number)
        assert asked == [True]
    assert [signal.getsignal(each) for each in BOTH] == [signal.SIG_IGN] * 2


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_that_came_while_models_loaded_is_kept_for_later_and_once(number: int) -> None:
    hold_signals()
    os.kill(os.getpid(), number)
    asked: list[bool] = []
    with stop_signals(lambda: asked.append(True)):
        assert asked == [True]
    with stop_signals(lambda: asked.append(True)):
        assert asked == [True]


def test_another_thread_leaves_signals_to_whoever_owns_the_main_one() -> None:
    def work() -> None:
        with stop_signals(lambda: None):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [signal.getsignal(each) for each in BOTH] == [signal.SIG_IGN] * 2
