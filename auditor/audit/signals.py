"""Being told to stop: SIGTERM, and SIGUSR2, which Slurm is asked to send before the time limit."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)

_NUMBERS = (signal.SIGTERM, signal.SIGUSR2)
_early: list[int] = []


def hold_signals() -> None:
    """From now on keep both signals for `stop_signals`: loading the models takes long, and must not be fatal."""
    for number in _NUMBERS:
        signal.signal(number, lambda received, _frame: _early.append(received))


@contextmanager
def stop_signals(on_stop: Callable[[], None]) -> Iterator[None]:
    """While open, both signals call `on_stop` instead of ending the process."""

    def ask_to_stop(number: int, _frame: object) -> None:
        log.warning("stopping after this item", signal=signal.Signals(number).name)
        on_stop()

    before = {}
    try:
        for number in _NUMBERS:
            before[number] = signal.signal(number, ask_to_stop)
    except ValueError:  # not the main thread: whoever owns it decides
        pass
    if _early:
        ask_to_stop(_early.pop(), None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
