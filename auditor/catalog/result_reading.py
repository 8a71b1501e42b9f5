"""Read many result files, in this process or, when there are thousands, in several."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from pathlib import Path

import pyarrow as pa

from auditor.catalog.result_rows import FileState, ResultRows, ScoreBlock, check_result
from auditor.lexicons import Lexicon
from auditor.records.recipe import Recipe
from auditor.records.result import ANY_RECIPE
from auditor.results.result_file import CorruptResult, read_packed

_BLOCK_RESULTS = 250
_PARALLEL_FROM = 4_000
"""Below this, starting processes takes longer than they save."""


@dataclass(frozen=True)
class ReadingRules:
    """What a reader needs to know, in a form that travels to another process.

    Attributes:
        folder: Of the result files.
        recipes: By recipe id.
        lexicon: The one that the recipes name.
        schemas: Arrow columns of every table that a result has rows in.
        max_pairs: Most picture pairs kept per adapter.
    """

    folder: Path
    recipes: Mapping[str, Recipe]
    lexicon: Lexicon
    schemas: Mapping[str, pa.Schema]
    max_pairs: int


@dataclass(frozen=True, eq=False)
class Block:
    """What a run of result files became.

    Attributes:
        accepted: The files whose rows these are; result number i is the i-th.
        tables: Rows by table.
        scores: Scores by table.
        rejected: Names and reasons of files that cannot be believed.
        unreadable: Names of files that the disk did not give.
    """

    accepted: list[FileState]
    tables: dict[str, pa.Table]
    scores: dict[str, ScoreBlock]
    rejected: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many files were looked at."""
        return len(self.accepted) + len(self.rejected) + len(self.unreadable)


def find_results(folder: Path) -> list[FileState]:
    """All published result files in a stable order: by content hash, then recipe."""
    found = []
    for directory in sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else ():
        if not directory.is_dir(follow_symlinks=False):
            continue
        for entry in sorted(os.scandir(directory), key=lambda item: item.name):
            if entry.name.endswith(".safetensors") and not entry.name.startswith("."):
                state = entry.stat()
                found.append(FileState(f"{directory.name}/{entry.name}", state.st_size, state.st_mtime_ns))
    return found


def recipe_of(name: str) -> str:
    """The recipe id in the name of a result file."""
    return name.split(".")[-2]


def read_block(files: Sequence[FileState], rules: ReadingRules) -> Block:
    """Read some files one after the other."""
    rows = ResultRows(rules.schemas, rules.lexicon, rules.max_pairs)
    block = Block([], {}, {})
    for file in files:
        recipe_id = recipe_of(file.name)
        try:
            result = read_packed(rules.folder / file.name)
            check_result(file.name, result, None if recipe_id == ANY_RECIPE else rules.recipes[recipe_id], rows.names)
        except CorruptResult as error:
            if isinstance(error.__cause__, OSError):
                block.unreadable.append(file.name)
            else:
                block.rejected.append((file.name, str(error)))
        else:
            rows.add(result, file)
            block.accepted.append(file)
    tables, scores = rows.take()
    block.tables.update(tables)
    block.scores.update(scores)
    return block


def read_blocks(files: Sequence[FileState], rules: ReadingRules, readers: int | None = None) -> Iterator[Block]:
    """Yield the blocks of all files in their order.

    Args:
        files: To read.
        rules: How.
        readers: Processes; None for one per core when there are many files, else none beside this one.
    """
    parts = [files[start : start + _BLOCK_RESULTS] for start in range(0, len(files), _BLOCK_RESULTS)]
    if readers is None:
        readers = len(os.sched_getaffinity(0)) if len(files) >= _PARALLEL_FROM else 1
    if readers <= 1:
        yield from (read_block(part, rules) for part in parts)
        return
    with _pool(readers, rules) as pool:
        waiting: deque[Future[Block]] = deque()
        for part in parts:
            waiting.append(pool.submit(_read_part, part))
            if len(waiting) > readers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _pool(readers: int, rules: ReadingRules) -> Iterator[ProcessPoolExecutor]:
    """Readers that end with this process. Spawned: a fork would copy the locks of the database's threads."""
    pool = ProcessPoolExecutor(readers, get_context("spawn"), _start_reader, (rules,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


_rules: ReadingRules | None = None


def _start_reader(rules: ReadingRules) -> None:
    global _rules
    _rules = rules
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A reader whose merge was killed would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read_part(files: Sequence[FileState]) -> Block:
    assert _rules is not None
    return read_block(files, _rules)
