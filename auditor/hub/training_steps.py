"""Files of one training at growing numbers of steps: which they are, and which final file each belongs to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from auditor.hub.file_names import folder_of, stem_of

_CHECKPOINT_FOLDER = re.compile(r"^(?:checkpoint|ckpt|step|epoch)s?(?:[-_]?(\d+))?(?:$|[-_])", re.IGNORECASE)
_STEP = re.compile(r"[-_](?:(?:epochs?|ep|e|steps?|iter|checkpoint|ckpt)[-_]?(\d+)|(\d{6,})|(0\d{3,}))$", re.IGNORECASE)


def ladders(paths: Iterable[str]) -> list[list[str]]:
    """Groups of files in one folder that differ in their steps alone; a file without steps may be among them."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        groups[folder_of(path), step_of(path)[0].lower()].append(path)
    return list(groups.values())


@lru_cache(maxsize=4_096)
def step_of(path: str) -> tuple[str, tuple[int, ...]]:
    """Return (name without steps, the steps: epoch before step when there are both)."""
    stem, steps = stem_of(path), []
    while (match := _STEP.search(stem)) and match.start() > 0:
        steps.append(int(next(group for group in match.groups() if group)))
        stem = stem[: match.start()]
    return stem, tuple(reversed(steps))


def checkpoint_step(path: str) -> int | None:
    """Return the step of the checkpoint folder a file lies in; None outside one."""
    for part in path.split("/")[:-1]:
        match = _CHECKPOINT_FOLDER.match(part)
        if match:
            return int(match.group(1) or 0)
    return None


def nearest_final(checkpoints: Iterable[str], finals: Sequence[str]) -> dict[str, str]:
    """The final file that each checkpoint belongs to: the one that shares the longest start of the path."""
    best: dict[str, str] = {}
    for final in finals:
        for start in _starts(final):
            if start not in best or len(final) < len(best[start]):
                best[start] = final
    return {path: next(best[start] for start in _starts(path) if start in best) for path in checkpoints}


def _starts(path: str) -> Iterator[str]:
    """The folders that a file lies in, the innermost first and the root last; of very deep ones the outer eight."""
    folders = path.split("/", 8)[:-1]
    return ("/".join(folders[:depth]) for depth in range(len(folders), -1, -1))
