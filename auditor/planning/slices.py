"""Which items one task audits: a share of the latest plan, or a slice that a submission has stored.

Slices are written once, under the hash of their content: a plan made anew must not move the items of array tasks that
are queued or running.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.common.atomic_files import write_bytes
from auditor.common.own_files import reading
from auditor.errors import UserError
from auditor.planning.manifest import read_manifest
from auditor.records.result import ItemKey, WorkItem
from auditor.results.workspace import Workspace
from auditor.settings import Settings

Slices = tuple[tuple[WorkItem, ...], ...]

_SCHEMA = pa.schema([("slice", pa.int32()), ("item", pa.string())])
_REMADE_BY = "auditor submit --resume"


@dataclass(frozen=True)
class Slice:
    """Task `index` of `count`: the i-th contiguous part of the manifest, so that a task meets few bases."""

    index: int = 0
    count: int = 1

    def items(self, settings: Settings) -> tuple[WorkItem, ...]:
        """This task's items."""
        check_task(self.index, self.count)
        items = read_manifest(Workspace(settings.work.dir).manifest).items
        edges = [round(len(items) * i / self.count) for i in (self.index, self.index + 1)]
        return items[edges[0] : edges[1]]


@dataclass(frozen=True)
class StoredSlice:
    """One slice of those that a submission stored: a later plan does not change them."""

    slices_id: str
    index: int

    def items(self, settings: Settings) -> tuple[WorkItem, ...]:
        """This task's items."""
        return read_slice(Workspace(settings.work.dir).slices, self.slices_id, self.index)


Part = Slice | StoredSlice
"""What one task audits."""


def check_task(task: int, tasks: int) -> None:
    """Raise UserError unless there is such a task among so many."""
    if not 0 <= task < tasks:
        raise UserError(f"task {task} of {tasks} does not exist; count from 0")


def cut(
    items: Iterable[WorkItem],
    items_per_slice: int,
    *,
    seconds: Callable[[WorkItem], float] = lambda item: 0.0,
    limit_s: Callable[[str | None], float] = lambda base_name: math.inf,
) -> Slices:
    """Cut items into slices of one base each, evenly, copies of the same bytes side by side.

    Args:
        items: In any order.
        items_per_slice: Most distinct files in a slice. Copies cost nothing, so they do not count.
        seconds: That an item is expected to take.
        limit_s: Most seconds of a slice, by its base. A single item may take longer.
    """
    by_base: dict[str, dict[str, list[WorkItem]]] = {}
    for item in items:
        copies = by_base.setdefault(item.base_name or "", {})
        copies.setdefault(item.file_sha256 or item.name_sha256, []).append(item)
    slices: list[tuple[WorkItem, ...]] = []
    for base in sorted(by_base, key=lambda name: (name == "", name)):  # unknown bases last
        files = list(by_base[base].values())
        limit, costs = limit_s(base or None), [seconds(copies[0]) for copies in files]
        count = max(-(-len(files) // items_per_slice), math.ceil(min(sum(costs) / limit, len(files))))
        edges = [round(len(files) * i / count) for i in range(count + 1)]
        for first, end in pairwise(edges):
            for a, b in _within(costs, first, end, limit):
                slices.append(tuple(item for copies in files[a:b] for item in copies))
    return tuple(slices)


def _within(costs: Sequence[float], first: int, end: int, limit: float) -> Iterator[tuple[int, int]]:
    """Cut a range further where what is in it costs more than the limit."""
    start, spent = first, 0.0
    for place in range(first, end):
        if place > start and spent + costs[place] > limit:
            yield start, place
            start, spent = place, 0.0
        spent += costs[place]
    yield start, end


def slices_id(slices: Slices) -> str:
    """The hash of all items in order, by which slices are stored."""
    return _hash(_as_rows(slices))


def write_slices(folder: Path, slices: Slices) -> str:
    """Store slices and return their id."""
    rows = _as_rows(slices)
    stored = _hash(rows)
    columns = [pa.array([row[i] for row in rows], type=field.type) for i, field in enumerate(_SCHEMA)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), sink, compression="zstd")
    write_bytes(_path(folder, stored), sink.getvalue().to_pybytes())
    return stored


def read_slice(folder: Path, stored: str, index: int) -> tuple[WorkItem, ...]:
    """Items of one slice.

    Raises:
        UserError: There is no such slice, or the file is damaged.
    """
    found = tuple(WorkItem.model_validate_json(text) for number, text in _rows(folder, stored) if number == index)
    if not found:
        raise UserError(f"slices {stored} have no number {index}")
    return found


def item_keys(folder: Path, stored: str, indexes: Iterable[int]) -> set[ItemKey]:
    """Keys of the items in some slices; none when the slices are not to be found any more."""
    wanted = set(indexes)
    try:
        rows = _rows(folder, stored)
    except UserError:
        return set()
    return {(i["repo_id"], i["commit_sha"], i["path"]) for n, text in rows if n in wanted for i in [json.loads(text)]}


def _as_rows(slices: Slices) -> list[tuple[int, str]]:
    return [(number, item.model_dump_json()) for number, part in enumerate(slices) for item in part]


def _path(folder: Path, stored: str) -> Path:
    return folder / f"{stored}.parquet"


def _rows(folder: Path, stored: str) -> Sequence[tuple[int, str]]:
    path = _path(folder, stored)
    if not stored.isalnum() or not path.exists():
        raise UserError(f"there are no slices {stored!r} in {folder}; submit again with: auditor submit --resume")
    with reading(path, "slices file", _REMADE_BY):
        table = pq.read_table(path, schema=_SCHEMA)
        rows = list(zip(table["slice"].to_pylist(), table["item"].to_pylist(), strict=True))
        if _hash(rows) != stored:
            raise ValueError("it does not hold what its name says")
    return rows


def _hash(rows: Sequence[tuple[int, str]]) -> str:
    digest = hashlib.sha256()
    for number, text in rows:
        digest.update(f"{number} {text}\n".encode())
    return digest.hexdigest()[:12]
