"""Which files of the plan are measured: a seeded draw that stays the same while the plan grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from auditor.records.result import WorkItem


def draw_sample(items: Iterable[WorkItem], base_name: str, seed: int) -> list[WorkItem]:
    """All distinct files that may be for a base, in the order in which they are to be measured.

    The place of a file depends on its hash and the seed alone, so that a later plan continues the same sample.

    Args:
        items: Of the plan.
        base_name: Files whose card leaves the base open are drawn with the others.
        seed: Of the draw.
    """
    distinct = {item.file_sha256 or item.name_sha256: item for item in items if item.base_name in (base_name, None)}
    return [distinct[name] for name in sorted(distinct, key=lambda name: _place(name, seed))]


def _place(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
