"""`lora_card` as JSON lines for programs and as CSV for spreadsheets."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from auditor.catalog.reading import plain
from auditor.common.text_safety import clean

_CARDS = (
    "SELECT * EXCLUDE (adapter_id, audit_id) FROM lora_card "
    "ORDER BY base NULLS LAST, repo_id, path NULLS FIRST, commit_sha"
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet take a text for a formula, full-width forms included."""
_NEXT_CELL = re.compile(r"(;[ \u00a0]*)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
"""Where a spreadsheet that separates by semicolons would begin another cell, and take it for a formula."""
_FETCH_ROWS = 2_000


def write_jsonl(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """One JSON object per adapter; return how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for count, record in enumerate(_records(connection), start=1):  # noqa: B007
            stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return count


def write_csv(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """One line per adapter, lists joined by `; `; return how many.

    Texts are uploads: what a spreadsheet would take for a formula gets an apostrophe in front, after a semicolon too.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\r\n")
        for count, record in enumerate(_records(connection), start=1):
            if count == 1:
                writer.writerow(record)
            writer.writerow([cell(value) for value in record.values()])
    return count


def cell(value: object) -> str | int | float | bool | None:
    """A value as one harmless cell."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        value = "; ".join(_inner(item) for item in value)
    text = _NEXT_CELL.sub(r"\1'", clean(str(value)))
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA_STARTS) else text


def _inner(item: object) -> str:
    if isinstance(item, dict) and {"concept", "score", "low", "high"} <= item.keys():
        return f"{item['concept']} {item['score']:.3f} [{item['low']:.3f}, {item['high']:.3f}]"
    return str(item)


def _records(connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, object]]:
    cursor = connection.execute(_CARDS)
    names = [str(column[0]) for column in cursor.description or ()]
    while rows := cursor.fetchmany(_FETCH_ROWS):
        for row in rows:
            yield dict(zip(names, (plain(value) for value in row), strict=True))
