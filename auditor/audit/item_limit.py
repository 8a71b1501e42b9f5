"""The last line against one adapter that holds everything up: a limit on the time it may take, by the wall clock.

Every guard on strangers' bytes is linear and every download has a deadline of its own. This is for what nobody thought
of, so it must not depend on the work being polite: an alarm ends Python code, and where the work never comes back to
Python, a watchdog outside of it ends the process. The next one counts that attempt, as it counts every death.
"""

from __future__ import annotations

import faulthandler
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from auditor.errors import ItemError

_DEAF = 2.0
"""Work that has not come back to Python after so many times its limit never will."""
_STDERR = 2


@contextmanager
def item_limit(seconds: float, what: str) -> Iterator[None]:
    """Let the block take so long and no longer.

    Args:
        seconds: Of the wall clock; 0 for no limit. Outside of the main thread there is none.
        what: What is done, for the message.

    Raises:
        ItemError: `took_too_long`.
    """
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        message = f"{what} took longer than {seconds:g} s (work.item_limit_s) and was given up."
        raise ItemError("failed", "took_too_long", message)

    before = signal.signal(signal.SIGALRM, ring)
    others, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.monotonic()
    # by number: sys.stderr may be closed or another object
    faulthandler.dump_traceback_later(_DEAF * seconds, exit=True, file=_STDERR)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if others:  # somebody's alarm was set before
            signal.setitimer(signal.ITIMER_REAL, max(0.001, others - (time.monotonic() - began)))
