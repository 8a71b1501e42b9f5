"""Named points at which a test lets the process die, as a power cut or `kill -9` would: no clean-up, no last words.

`AUDITOR_CRASH_AT=result_synced` dies the first time that point is passed, `result_synced:3` the third time.
Unset, a point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from typing import Literal, get_args

CRASH_VARIABLE = "AUDITOR_CRASH_AT"

CrashPoint = Literal[
    # listing and plan
    "crawl_page_stored",
    "plan_half_written",
    # download
    "download_begun",
    "download_complete",
    "download_stored",
    # models
    "reference_shard_kept",
    "reference_written",
    "reference_published",
    # one item
    "item_claimed",
    "item_fetched",
    "item_applied",
    "item_generated",
    "item_measured",
    "pictures_kept",
    "item_published",
    "item_settled",
    "item_named",
    "pictures_dropped",
    # its result file
    "result_half_written",
    "result_written",
    "result_synced",
    "result_renamed",
    # merge
    "merge_begun",
    "merge_batch_loaded",
    "merge_loaded",
    "merge_checkpointed",
    "merge_published",
]
"""Every point, in the order in which a run passes them."""

CRASH_POINTS: tuple[CrashPoint, ...] = get_args(CrashPoint)


def _armed(text: str | None) -> tuple[str, int] | None:
    """Point and passes left, from the variable's text.

    Raises:
        ValueError: There is no such point; a test that waits for it would prove nothing.
    """
    if not text:
        return None
    name, _, count = text.partition(":")
    if name not in CRASH_POINTS or not (count or "1").isdecimal():
        raise ValueError(f"{CRASH_VARIABLE}={text}: expected name or name:count, with one of {', '.join(CRASH_POINTS)}")
    return name, int(count or "1")


_target = _armed(os.environ.get(CRASH_VARIABLE))
_signal = signal.SIGKILL


def crash_point(name: CrashPoint) -> None:
    """Die here if this is the armed point and its count is reached."""
    global _target
    if _target is None or _target[0] != name:
        return
    left = _target[1] - 1
    _target = (name, left) if left > 0 else None
    if left <= 0:
        os.kill(os.getpid(), _signal)


def arm(text: str | None, deed: signal.Signals = signal.SIGKILL) -> None:
    """Arm a point in this process, for tests that fork; None disarms.

    Args:
        text: The point, as in the variable.
        deed: Signal that the process sends itself there; SIGSTOP lets a test change the world while it stands still.

    Raises:
        ValueError: There is no such point.
    """
    global _target, _signal
    _target, _signal = _armed(text), deed
