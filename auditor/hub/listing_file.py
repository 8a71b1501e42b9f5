"""Listings and quarantined entries as Parquet, with explicit schemas; written beside, then swapped in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from auditor.common.atomic_files import replacing
from auditor.common.own_files import reading
from auditor.errors import UserError
from auditor.records.listing import ListedFile, ListedRepo, QuarantinedEntry, TriggerCandidate

_BATCH_ROWS = 2_000
_ROWS = "auditor.rows"
_TEXTS = pa.list_(pa.string())

LISTING_SCHEMA = pa.schema(
    [
        pa.field("repo_id", pa.string(), nullable=False),
        pa.field("commit_sha", pa.string(), nullable=False),
        pa.field("last_modified", pa.string()),
        pa.field("created_at", pa.string()),
        pa.field("tags", _TEXTS, nullable=False),
        pa.field("pipeline_tag", pa.string()),
        pa.field("library_name", pa.string()),
        pa.field("license", pa.string()),
        pa.field("base_models", _TEXTS, nullable=False),
        pa.field("base_claims", _TEXTS, nullable=False),
        pa.field("base_relation", pa.string()),
        pa.field("instance_prompt", pa.string()),
        pa.field("triggers", pa.list_(pa.struct([("text", pa.string()), ("source", pa.string())])), nullable=False),
        pa.field("gated", pa.string()),
        pa.field("private", pa.bool_(), nullable=False),
        pa.field("disabled", pa.bool_(), nullable=False),
        pa.field("downloads", pa.int64(), nullable=False),
        pa.field("likes", pa.int64(), nullable=False),
        pa.field("nsfw", pa.bool_(), nullable=False),
        pa.field(
            "files",
            pa.list_(pa.struct([("path", pa.string()), ("size_bytes", pa.int64()), ("sha256", pa.string())])),
            nullable=False,
        ),
        pa.field("found_by", _TEXTS, nullable=False),
        pa.field("card_json", pa.string()),
        pa.field("gone", pa.bool_(), nullable=False),
        pa.field("renamed_to", pa.string()),
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("query", pa.string(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("repo_id", pa.string()),
        pa.field("message", pa.string(), nullable=False),
        pa.field("excerpt", pa.string(), nullable=False),
    ]
)


def write_listing(path: Path, repos: Iterable[ListedRepo]) -> int:
    """Write a listing atomically; return the number of rows. Memory: one batch."""
    return _write(path, LISTING_SCHEMA, repos)


def write_quarantine(path: Path, entries: Iterable[QuarantinedEntry]) -> int:
    """Write the quarantined entries atomically; return the number of rows."""
    return _write(path, QUARANTINE_SCHEMA, entries)


def iter_listing(path: Path, *, without: Collection[str] = ()) -> Iterator[ListedRepo]:
    """Yield the repos of a listing in stored order. Memory: one batch.

    Args:
        path: Of the listing.
        without: Fields that are left at their defaults: a plan does not need the cards, and they are most of it.
    """
    return (_repo(row) for row in _rows(path, LISTING_SCHEMA, "listing", without))


def read_quarantine(path: Path) -> list[QuarantinedEntry]:
    """Return the quarantined entries."""
    return [QuarantinedEntry(**row) for row in _rows(path, QUARANTINE_SCHEMA, "quarantine file")]


def _write(path: Path, schema: pa.Schema, items: Iterable[Any]) -> int:
    rows = 0
    iterator = iter(items)
    with replacing(path) as temporary, _writer(temporary, schema) as writer:
        while batch := [_row(item) for item in islice(iterator, _BATCH_ROWS)]:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            rows += len(batch)
        # Pages have checksums, the list of them has none.
        writer.add_key_value_metadata({_ROWS: str(rows)})
    return rows


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # A flipped bit may leave a page that unpacks to something else.
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def _row(item: Any) -> dict[str, Any]:
    """Return a record's fields; `dataclasses.asdict` copies every value, and takes three times as long."""
    row = {name: getattr(item, name) for name in item.__slots__}
    for name, value in row.items():
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            row[name] = [{inner: getattr(part, inner) for inner in part.__slots__} for part in value]
    return row


def _rows(path: Path, schema: pa.Schema, kind: str, without: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    if not path.exists():
        raise UserError(f"There is no {kind} at {path}. Run `auditor crawl` first.")
    with reading(path, kind, "auditor crawl"), pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        _check_columns(parquet, schema)
        columns = [name for name in schema.names if name not in without]
        rows = 0
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
            rows += batch.num_rows
            yield from batch.to_pylist()
        _check_rows(parquet, rows)


def _check_columns(parquet: pq.ParquetFile, schema: pa.Schema) -> None:
    found = parquet.schema_arrow
    if found.names != schema.names or found.types != schema.types:
        raise ValueError("its columns are those of another version, or garbled")


def _check_rows(parquet: pq.ParquetFile, rows: int) -> None:
    told = (parquet.metadata.metadata or {}).get(_ROWS.encode())
    # Files of earlier versions do not tell; a garbled list may lose rows and telling together.
    if told != str(rows).encode() and (told is not None or not rows):
        raise ValueError(f"it holds {rows} rows, not as many as were written")


def check_readable(path: Path, kind: str) -> None:
    """Read a listing or quarantine file through.

    Raises:
        Damaged: It cannot be read, and lies aside now.
    """
    with reading(path, kind, "auditor crawl"), pq.ParquetFile(path, page_checksum_verification=True) as parquet:
        _check_columns(parquet, LISTING_SCHEMA if kind == "listing" else QUARANTINE_SCHEMA)
        _check_rows(parquet, sum(batch.num_rows for batch in parquet.iter_batches(batch_size=_BATCH_ROWS)))


_TUPLES = frozenset(item.name for item in fields(ListedRepo) if str(item.type).startswith("tuple["))


def _repo(row: dict[str, Any]) -> ListedRepo:
    row["triggers"] = [TriggerCandidate(**item) for item in row["triggers"]]
    row["files"] = [ListedFile(item["path"], item["size_bytes"], item["sha256"]) for item in row["files"]]
    values: dict[str, Any] = {n: tuple(value) if n in _TUPLES else value for n, value in row.items()}
    return ListedRepo(**values)
