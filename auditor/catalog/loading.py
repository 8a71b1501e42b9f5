"""Rows into tables, in bulk through Arrow; the database itself says what type a column has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

Row = Sequence[object]


class Loader:
    """Collects rows per table and inserts them together. Row by row, DuckDB is a thousand times slower."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._schemas: dict[str, pa.Schema] = {}
        self._rows: dict[str, list[Row]] = {}
        self._columns: dict[str, list[list[Any]]] = {}

    def add(self, table: str, *row: object) -> None:
        """Queue one row, in the order of the table's columns."""
        self._rows.setdefault(table, []).append(row)

    def extend(self, table: str, *columns: Sequence[Any]) -> None:
        """Queue many rows by column, for tables with hundreds of rows per result; their text must be our own."""
        queued = self._columns.setdefault(table, [[] for _ in columns])
        for known, more in zip(queued, columns, strict=True):
            known.extend(more)

    def flush(self) -> None:
        """Insert everything queued, as one transaction."""
        self._connection.execute("BEGIN")
        try:
            for table, rows in self._rows.items():
                self._insert(table, [_clean(column) for column in zip(*rows, strict=True)])
            for table, columns in self._columns.items():
                self._insert(table, columns)
            self._connection.execute("COMMIT")
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._rows.clear()
        self._columns.clear()

    def stream(self, table: str, rows: Iterable[Row], batch_rows: int = 2_000) -> None:
        """Insert many rows into one table with the memory of one batch."""
        iterator = iter(rows)
        while batch := list(islice(iterator, batch_rows)):
            self._insert(table, [_clean(column) for column in zip(*batch, strict=True)])

    def _insert(self, table: str, columns: Sequence[Sequence[Any]]) -> None:
        schema = self._schemas.get(table)
        if schema is None:
            empty: pa.Table = self._connection.sql(f'SELECT * FROM "{table}" LIMIT 0').to_arrow_table()
            schema = self._schemas[table] = empty.schema
        arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
        self._connection.register("incoming_rows", pa.Table.from_arrays(arrays, schema=schema))
        try:
            self._connection.execute(f'INSERT INTO "{table}" SELECT * FROM incoming_rows')
        finally:
            self._connection.unregister("incoming_rows")


def timestamp(text: str | None) -> datetime | None:
    """ISO 8601 text as naive UTC; None for what is no time. Uploads and clocks are not trusted to be right."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def storable(text: str) -> str:
    """Text without lone surrogates, which no UTF-8 column can hold, and without NUL, which ends a C string."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def _clean(column: Sequence[Any]) -> list[Any]:
    return [_storable(cell) for cell in column]


def _storable(cell: Any) -> Any:
    if isinstance(cell, str):
        return cell if cell.isascii() and "\0" not in cell else storable(cell)
    if isinstance(cell, list | tuple) and cell and isinstance(cell[0], str):
        return [_storable(item) for item in cell]
    return cell
