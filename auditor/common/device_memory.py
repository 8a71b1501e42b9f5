"""Work that may not fit into a device's memory: smaller batches first, then an error that says what was needed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from auditor.errors import MemoryTooSmall

# What torch says of it. cuBLAS and the CPU's allocator raise a plain RuntimeError.
_SIGNS = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "DefaultCPUAllocator: can't allocate memory")
_LONGEST_QUOTE = 240


def out_of_memory(error: BaseException) -> bool:
    """Whether this is the device's memory running out, after which the process can go on."""
    named = any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
    return isinstance(error, RuntimeError) and (named or any(sign in str(error) for sign in _SIGNS))


@contextmanager
def memory_named(what: str) -> Iterator[None]:
    """Say what did not fit, in place of the library's error.

    Raises:
        MemoryTooSmall: The block ran out of the device's memory; the message quotes how much it asked for.
    """
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what is to be given back to the device
        reason = " ".join(str(error).split())[:_LONGEST_QUOTE]
        raise MemoryTooSmall(
            f"{what} does not fit into this device's memory ({reason}). Use a larger device or a smaller size, "
            "and end what else runs on it."
        ) from None


def in_batches(
    count: int, size: int, run: Callable[[slice], None], *, on_smaller: Callable[[int], None] = lambda size: None
) -> int:
    """Go through `count` rows in batches, in halves of them where the device's memory does not suffice.

    Args:
        count: Rows in all.
        size: Rows per batch, at least 1.
        run: Works on some rows; after it ran out of memory it is asked again for fewer from the same start.
        on_smaller: Told the new size before it is used, to give back what is held.

    Returns:
        The size that was used last, for the next call.

    Raises:
        RuntimeError: A single row does not fit; the library's own error.
    """
    start = 0
    while start < count:
        rows = slice(start, min(start + size, count))
        try:
            run(rows)
        except RuntimeError as error:
            held = rows.stop - rows.start
            if held == 1 or not out_of_memory(error):
                raise
            size = held // 2
        else:
            start = rows.stop
            continue
        on_smaller(size)
    return size
