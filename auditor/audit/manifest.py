"""The plan: which adapter files to audit on which base, and everything settled without opening a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.crash import crash_point
from auditor.errors import ItemError, UserError
from auditor.files import write_bytes
from auditor.hub.bases import canonical_base
from auditor.hub.client import HubClient
from auditor.hub.details import file_details
from auditor.hub.units import units
from auditor.records.listing import ListedRepo, SettledItem, Unit
from auditor.records.result import WorkItem
from auditor.settings import BaseModelSettings

_ITEM_SCHEMA = pa.schema([
    ("repo_id", pa.string()), ("commit_sha", pa.string()), ("path", pa.string()), ("file_sha256", pa.string()),
    ("size_bytes", pa.int64()), ("base_name", pa.string()), ("base_claim", pa.string()), ("trigger", pa.string()),
    ("trigger_source", pa.string()), ("companions", pa.list_(pa.string())),
])  # fmt: skip
_SETTLED_SCHEMA = pa.schema([
    ("repo_id", pa.string()), ("commit_sha", pa.string()), ("path", pa.string()), ("outcome", pa.string()),
    ("reason", pa.string()), ("message", pa.string()), ("variant_of", pa.string()),
])  # fmt: skip


@dataclass(frozen=True)
class Manifest:
    """What one plan found. `len(items) + len(settled)` is the number of listed units."""

    items: tuple[WorkItem, ...]
    settled: tuple[SettledItem, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """Known sizes of distinct files, added up."""
        sizes = {i.file_sha256 or (i.repo_id, i.path): i.size_bytes or 0 for i in self.items}
        return sum(sizes.values())

    @property
    def distinct_files(self) -> int:
        """Files that differ in content (unknown hashes count one each)."""
        return len({i.file_sha256 or (i.repo_id, i.path) for i in self.items})


def plan(
    repos: Iterable[ListedRepo],
    bases: dict[str, BaseModelSettings],
    *,
    client: HubClient | None = None,
    cache_dir: Path | None = None,
    on_repo: Callable[[ListedRepo], None] | None = None,
) -> Manifest:
    """Turn a listing into work items, grouped by base so that a task loads few bases.

    Args:
        repos: As listed.
        bases: Active bases by short name.
        client: When given, sizes and hashes of the chosen files are asked for (one request per repo), so that
            the same bytes in many repos become one audit.
        cache_dir: Where those answers are kept.
        on_repo: Told about every repo.
    """
    items: list[WorkItem] = []
    settled: list[SettledItem] = []
    for repo in repos:
        if on_repo is not None:
            on_repo(repo)
        for unit in _with_details(units(repo), client, cache_dir):
            if isinstance(unit, SettledItem):
                settled.append(unit)
            else:
                items.append(_work_item(repo, unit, bases))
    items.sort(key=lambda i: (i.base_name or "~", i.repo_id, i.path))
    return Manifest(tuple(items), tuple(settled))


def _with_details(
    found: list[Unit | SettledItem], client: HubClient | None, cache_dir: Path | None
) -> list[Unit | SettledItem]:
    wanted = [u for u in found if isinstance(u, Unit)]
    if client is None or cache_dir is None or not wanted:
        return found
    first = wanted[0]
    try:
        known = {f.path: f for f in file_details(client, first.repo_id, first.commit_sha, [u.path for u in wanted],
                                                 cache_dir=cache_dir)}  # fmt: skip
    except ItemError as error:
        # The repo changed between listing and planning; every file of it shares the outcome.
        return [
            SettledItem(u.repo_id, u.commit_sha, u.path, error.outcome, error.reason, error.message)
            if isinstance(u, Unit)
            else u
            for u in found
        ]
    detailed: list[Unit | SettledItem] = []
    for unit in found:
        if isinstance(unit, Unit) and unit.path in known:
            facts = known[unit.path]
            unit = Unit(unit.repo_id, unit.commit_sha, unit.path, unit.why, unit.companions, facts.size_bytes,
                        facts.sha256)  # fmt: skip
        detailed.append(unit)
    return detailed


def _work_item(repo: ListedRepo, unit: Unit, bases: dict[str, BaseModelSettings]) -> WorkItem:
    claim = repo.base_models[0] if repo.base_models else (repo.base_claims[0] if repo.base_claims else None)
    trigger = repo.triggers[0] if repo.triggers else None
    return WorkItem(
        repo_id=repo.repo_id,
        commit_sha=repo.commit_sha,
        path=unit.path,
        file_sha256=unit.sha256,
        size_bytes=unit.size_bytes,
        base_name=claimed_base(repo.base_models, bases),
        base_claim=claim,
        trigger=trigger.text if trigger else None,
        trigger_source=trigger.source if trigger else None,
        companions=unit.companions,
    )


def claimed_base(claims: Iterable[str], bases: dict[str, BaseModelSettings]) -> str | None:
    """Short name of the base a card means, by repo id or alias; None when it means none of ours."""
    names: dict[str, str] = {}
    for short, base in bases.items():
        known = [base.repo] if base.repo is not None else []
        names |= {canonical_base(name).lower(): short for name in (*known, *base.aliases)}
    for claim in claims:
        if (found := names.get(canonical_base(claim).lower())) is not None:
            return found
    return None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write both halves, each atomically; `items.parquet` comes last and marks the pair complete."""
    settled = [asdict(s) for s in manifest.settled]
    items = [i.model_dump(mode="json") for i in manifest.items]
    for name, rows, schema in (("settled", settled, _SETTLED_SCHEMA), ("items", items, _ITEM_SCHEMA)):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
        write_bytes(folder / f"{name}.parquet", sink.getvalue().to_pybytes())
        if name == "settled":
            crash_point("plan_half_written")


def read_manifest(folder: Path) -> Manifest:
    """Read a plan back.

    Raises:
        UserError: There is none yet.
    """
    if not (folder / "items.parquet").exists():
        raise UserError(f"there is no plan in {folder}; run: auditor plan")
    items = pq.read_table(folder / "items.parquet").to_pylist()
    settled = pq.read_table(folder / "settled.parquet").to_pylist()
    return Manifest(tuple(WorkItem(**row) for row in items), tuple(SettledItem(**row) for row in settled))
