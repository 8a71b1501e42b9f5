"""The record of an item that ended early, and what every record carries. Light: stages without models use it too."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from auditor.errors import ItemError
from auditor.records.result import AuditRecord, WorkItem

_PACKAGES = (
    "auditor",
    "diffusers",
    "huggingface_hub",
    "numpy",
    "open_clip_torch",
    "safetensors",
    "torch",
    "transformers",
)


@dataclass
class Stopwatch:
    """Seconds per stage, on the monotonic clock."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - began, 4)


def failure_record(
    item: WorkItem, file_sha256: str, recipe_id: str, error: ItemError, watch: Stopwatch | None = None
) -> AuditRecord:
    """The record of an item that ended early."""
    return AuditRecord(
        item=item,
        file_sha256=file_sha256,
        recipe_id=recipe_id,
        outcome=error.outcome,
        reason=error.reason,
        message=error.message,
        base_name=None,
        timings_s=watch.seconds if watch else {},
        versions=versions(),
        finished_at=now(),
    )


def versions() -> dict[str, str]:
    """Versions of the packages that can change a picture or a score."""
    return {name: version(name) for name in _PACKAGES}


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def ends_the_process(error: Exception) -> bool:
    """Whether going on makes no sense: the disk is full or gone, memory is out, or the GPU refuses everything."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
    return isinstance(error, MemoryError) or "CUDA error" in str(error)
