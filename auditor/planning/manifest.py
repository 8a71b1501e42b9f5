"""The plan: which adapter files to audit on which base, and everything settled without opening a file."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.common.atomic_files import write_bytes
from auditor.common.crash_points import crash_point
from auditor.common.own_files import reading
from auditor.errors import ItemError, TransientError, UserError
from auditor.hub.client import HubClient
from auditor.hub.facts import FileFacts, ask_facts
from auditor.hub.gc_pause import gc_paused
from auditor.hub.repo_units import units, unreadable
from auditor.planning.base_names import BaseNames, copied_bases
from auditor.records.listing import ListedRepo, QuarantinedEntry, SettledItem, Unit
from auditor.records.result import ItemKey, WorkItem
from auditor.settings import BaseModelSettings

_ITEM_SCHEMA = pa.schema([
    ("repo_id", pa.string()), ("commit_sha", pa.string()), ("path", pa.string()), ("file_sha256", pa.string()),
    ("size_bytes", pa.int64()), ("base_name", pa.string()), ("other_bases", pa.list_(pa.string())),
    ("base_distances", pa.list_(pa.int64())), ("base_claim", pa.string()), ("other_claims", pa.list_(pa.string())),
    ("trigger", pa.string()), ("trigger_source", pa.string()),
    ("companions", pa.list_(pa.string())),
])  # fmt: skip
_SETTLED_SCHEMA = pa.schema([
    ("repo_id", pa.string()), ("commit_sha", pa.string()), ("path", pa.string()), ("outcome", pa.string()),
    ("reason", pa.string()), ("message", pa.string()), ("variant_of", pa.string()),
])  # fmt: skip


MAX_CLAIMS = 16
"""Most bases of one card that are looked at; a card may list thousands."""
_ROWS = "auditor.rows"
UNUSED_FIELDS = ("card_json", "found_by", "created_at", "last_modified")
"""What a plan does not look at; leaving it out halves the reading of a listing."""


@dataclass(frozen=True)
class Manifest:
    """What one plan found. `len(items) + len(settled)` is the number of listed units.

    Attributes:
        items: Files to audit, those of one base together.
        settled: Repos and files whose outcome the listing told.
        asked: Requests that this plan has spent on sizes and hashes.
    """

    items: tuple[WorkItem, ...]
    settled: tuple[SettledItem, ...]
    asked: int = 0

    @property
    def bytes_to_fetch(self) -> int:
        """Known sizes of distinct files, added up."""
        return sum(self._sizes().values())

    @property
    def distinct_files(self) -> int:
        """Files that differ in content (unknown hashes count one each)."""
        return len({i.file_sha256 or (i.repo_id, i.path) for i in self.items})

    @property
    def unknown_sizes(self) -> int:
        """Files of which no size is known yet."""
        return sum(1 for item in self.items if item.size_bytes is None)

    @property
    def estimated_bytes(self) -> int | None:
        """Bytes of all distinct files, the unknown ones at the mean of the known; None when none is known."""
        sizes = self._sizes()
        return round(sum(sizes.values()) / len(sizes) * self.distinct_files) if sizes else None

    def _sizes(self) -> dict[object, int]:
        return {i.file_sha256 or (i.repo_id, i.path): i.size_bytes for i in self.items if i.size_bytes is not None}

    def with_facts(self, facts: FileFacts) -> Manifest:
        """The same plan with what has been learned of its files since."""
        return replace(self, items=tuple(_informed(item, facts) for item in self.items))


@dataclass(frozen=True)
class PlanOptions:
    """What a plan takes in.

    Attributes:
        max_requests: Most requests for sizes and hashes.
        try_gated, full_models: As in `units`.
        max_file_bytes: Files known to be larger are settled as `too_large`.
    """

    max_requests: int = 0
    try_gated: bool = False
    full_models: bool = False
    max_file_bytes: int | None = None


def plan(
    repos: Iterable[ListedRepo],
    bases: Mapping[str, BaseModelSettings],
    options: PlanOptions | None = None,
    *,
    facts: FileFacts | None = None,
    client: HubClient | None = None,
    quarantined: Iterable[QuarantinedEntry] = (),
    on_repo: Callable[[ListedRepo], None] | None = None,
) -> Manifest:
    """Turn a listing into work items, grouped by base so that a task loads few bases.

    Needs no request. Sizes and hashes come from what is known already; asking for the rest costs one request per
    repo, so that only `max_requests` repos are asked about, chosen by the hash of their names: a fair sample for
    the estimate of bytes. Answers are kept, so that the next plan asks about others.

    Args:
        repos: As listed.
        bases: Active bases by short name.
        options: What it takes in.
        facts: Known sizes and hashes; new ones are saved there.
        client: When given, asks.
        quarantined: List entries that could not be read.
        on_repo: Told about every repo.
    """
    parents: dict[str, tuple[str, ...]] = {}
    limits = options or PlanOptions()
    items, settled = _chosen(repos, parents, limits, copied_bases(bases), on_repo)
    names = BaseNames(bases, lambda name: parents.get(name.lower(), ()))
    items = [_placed(item, names) for item in items]
    listed = {item.repo_id for item in items} | {item.repo_id for item in settled}
    broken = {item.repo_id: item for item in map(unreadable, quarantined)}  # several queries met it: it counts once
    settled += [item for name, item in sorted(broken.items()) if name not in listed]
    asked = 0
    if facts is not None:
        items = [_informed(item, facts) for item in items]
        if client is not None and limits.max_requests > 0:
            asked, lost = _ask_about(client, items, facts, limits.max_requests)
            settled += [lost[item.key] for item in items if item.key in lost]
            items = [_informed(item, facts) for item in items if item.key not in lost]
    known_bad = {item.key: bad for item in items if (bad := _known_bad(item, facts, limits.max_file_bytes)) is not None}
    settled += known_bad.values()
    items = [item for item in items if item.key not in known_bad]
    items.sort(key=lambda i: (i.base_name or "~", i.repo_id, i.path))
    return Manifest(tuple(items), tuple(settled), asked)


def _chosen(
    repos: Iterable[ListedRepo],
    parents: dict[str, tuple[str, ...]],
    options: PlanOptions,
    copied: Collection[str],
    on_repo: Callable[[ListedRepo], None] | None,
) -> tuple[list[WorkItem], list[SettledItem]]:
    """The units of every repo; `parents` learns what each says it was made from, `copied` is as in `units`."""
    items, settled = list[WorkItem](), list[SettledItem]()
    with gc_paused():
        for repo in repos:
            if on_repo is not None:
                on_repo(repo)
            if repo.base_models:
                parents[repo.repo_id.lower()] = repo.base_models[:MAX_CLAIMS]
            for unit in units(repo, try_gated=options.try_gated, full_models=options.full_models, copied=copied):
                if isinstance(unit, SettledItem):
                    settled.append(unit)
                else:
                    items.append(_work_item(repo, unit))
    return items, settled


def _known_bad(item: WorkItem, facts: FileFacts | None, max_file_bytes: int | None) -> SettledItem | None:
    """What settles a file before it is fetched. The scanners' praise counts for nothing."""
    known = facts.get(*item.key) if facts is not None else None
    if known is not None and known.scan in ("unsafe", "suspicious"):
        message = f"The Hub's own scan calls it {known.scan}."
        return SettledItem(*item.key, "quarantined", "flagged_by_hub", message)
    if max_file_bytes is not None and item.size_bytes is not None and item.size_bytes > max_file_bytes:
        message = f"It has {item.size_bytes:,} bytes, more than the {max_file_bytes:,} that are downloaded."
        return SettledItem(*item.key, "skipped", "too_large", message)
    return None


def _informed(item: WorkItem, facts: FileFacts) -> WorkItem:
    if item.file_sha256 is not None and item.size_bytes is not None:
        return item
    known = facts.get(*item.key)
    if known is None:
        return item
    return item.model_copy(update={"file_sha256": known.sha256, "size_bytes": known.size_bytes})


def _ask_about(
    client: HubClient, items: list[WorkItem], facts: FileFacts, max_requests: int
) -> tuple[int, dict[ItemKey, SettledItem]]:
    """Ask for the files of some repos; return the requests spent and the files whose repo is lost since listing."""
    wanted: dict[tuple[str, str], list[WorkItem]] = defaultdict(list)
    for item in items:
        if item.size_bytes is None:
            wanted[item.repo_id, item.commit_sha].append(item)
    order = sorted(wanted, key=lambda repo: hashlib.sha256(repo[0].encode("utf-8", "replace")).digest())
    lost: dict[ItemKey, SettledItem] = {}
    asked = 0
    for repo in order[:max_requests]:
        asked += 1
        try:
            facts.learn(*repo, ask_facts(client, *repo, [item.path for item in wanted[repo]]))
        except ItemError as error:
            # The repo changed between listing and planning; every file of it shares the outcome.
            for item in wanted[repo]:
                lost[item.key] = SettledItem(*item.key, error.outcome, error.reason, error.message)
        except TransientError:
            break  # what is not known now is learned by downloading
    facts.save()
    return asked, lost


def _placed(item: WorkItem, bases: BaseNames) -> WorkItem:
    """The item with the active bases that its claims lead to."""
    named = bases.nearest(claim for claim in (item.base_claim, *item.other_claims) if claim)
    if not named:
        return item
    update = {"base_name": next(iter(named)), "other_bases": tuple(named)[1:], "base_distances": tuple(named.values())}
    return item.model_copy(update=update)


def _work_item(repo: ListedRepo, unit: Unit) -> WorkItem:
    claims = tuple(dict.fromkeys(repo.base_models or repo.base_claims))[:MAX_CLAIMS]
    trigger = repo.triggers[0] if repo.triggers else None
    return WorkItem(
        repo_id=repo.repo_id,
        commit_sha=repo.commit_sha,
        path=unit.path,
        file_sha256=unit.sha256,
        size_bytes=unit.size_bytes,
        base_name=None,
        base_claim=claims[0] if claims else None,
        other_claims=claims[1:],
        trigger=trigger.text if trigger else None,
        trigger_source=trigger.source if trigger else None,
        companions=unit.companions,
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write both halves, each atomically; `items.parquet` comes last and marks the pair complete."""
    _write_half(folder, "settled", manifest.settled, _SETTLED_SCHEMA)
    crash_point("plan_half_written")
    _write_half(folder, "items", manifest.items, _ITEM_SCHEMA)


def inform_manifest(folder: Path, facts: FileFacts) -> None:
    """Add what has been learned of its files to the plan that is there now, whoever made it meanwhile."""
    stored = read_manifest(folder)
    informed = stored.with_facts(facts)
    if informed != stored:
        _write_half(folder, "items", informed.items, _ITEM_SCHEMA)


def _write_half(folder: Path, name: str, rows: Iterable[object], schema: pa.Schema) -> None:
    rows = list(rows)
    columns = [pa.array([getattr(row, field.name) for row in rows], type=field.type) for field in schema]
    sink = pa.BufferOutputStream()
    # Pages have checksums, the list of them has none.
    table = pa.Table.from_arrays(columns, schema=schema).replace_schema_metadata({_ROWS: str(len(rows))})
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    write_bytes(folder / f"{name}.parquet", sink.getvalue().to_pybytes())


def read_manifest(folder: Path) -> Manifest:
    """Read a plan back.

    Raises:
        UserError: There is none yet, or it is damaged.
    """
    items, settled = folder / "items.parquet", folder / "settled.parquet"
    if not items.exists() or not settled.exists():
        raise UserError(f"there is no plan in {folder}; run: auditor plan")
    with reading(items, "plan", "auditor plan"):
        rows, untold = _half_rows(items, _ITEM_SCHEMA)
        wanted = tuple(WorkItem(**row) for row in rows)
    with reading(settled, "plan", "auditor plan"):
        return Manifest(wanted, tuple(SettledItem(**row) for row in _half_rows(settled, _SETTLED_SCHEMA, untold)[0]))


def _half_rows(path: Path, schema: pa.Schema, empty: bool = False) -> tuple[list[dict[str, Any]], bool]:
    """Rows of one half, and whether it is of an earlier version: they had fewer columns and told no number."""
    # A garbled list may lose rows and number together: it is believed to be `empty` only beside one that tells none.
    table = pq.read_table(path, page_checksum_verification=True)
    if any(field.name not in schema.names or field.type != schema.field(field.name).type for field in table.schema):
        raise ValueError("its columns are those of another version, or garbled")
    told = (table.schema.metadata or {}).get(_ROWS.encode())
    if told != str(table.num_rows).encode() and (told is not None or not (table.num_rows or empty)):
        raise ValueError(f"it holds {table.num_rows} rows, not as many as were written")
    return table.to_pylist(), told is None
