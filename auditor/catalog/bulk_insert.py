"""Rows into tables, in bulk through Arrow; the database itself says what type a column has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import duckdb
import pyarrow as pa

Row = Sequence[object]


class RowBuffer:
    """Collects rows per table and turns them into Arrow tables; needs no database, so any process can fill one."""

    def __init__(self, schemas: Mapping[str, pa.Schema]) -> None:
        self._schemas = schemas
        self._rows: dict[str, list[Row]] = {}

    def add(self, table: str, *row: object) -> None:
        """Queue one row, in the order of the table's columns."""
        self._rows.setdefault(table, []).append(row)

    def take(self) -> dict[str, pa.Table]:
        """Everything queued, by table."""
        made = {name: to_arrow(rows, self._schemas[name]) for name, rows in self._rows.items()}
        self._rows.clear()
        return made


class Loader:
    """Inserts rows many at a time. Row by row, DuckDB is a thousand times slower."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._schemas: dict[str, pa.Schema] = {}
        self._rows: dict[str, list[Row]] = {}

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table as Arrow types."""
        known = self._schemas.get(table)
        if known is None:
            empty: pa.Table = self.connection.sql(f'SELECT * FROM "{table}" LIMIT 0').to_arrow_table()
            known = self._schemas[table] = empty.schema
        return known

    def add(self, table: str, *row: object) -> None:
        """Queue one row, in the order of the table's columns."""
        self._rows.setdefault(table, []).append(row)

    def flush(self) -> None:
        """Insert everything queued, as one transaction."""
        self.connection.execute("BEGIN")
        try:
            for table, rows in self._rows.items():
                self.insert(table, to_arrow(rows, self.schema(table)))
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self._rows.clear()

    def stream(self, table: str, rows: Iterable[Row], batch_rows: int = 2_000) -> None:
        """Insert many rows into one table with the memory of one batch."""
        iterator = iter(rows)
        while batch := list(islice(iterator, batch_rows)):
            self.insert(table, to_arrow(batch, self.schema(table)))

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert an Arrow table with the columns of `table`, in their order."""
        self.connection.register("incoming_rows", rows)
        try:
            self.connection.execute(f'INSERT INTO "{table}" SELECT * FROM incoming_rows')
        finally:
            self.connection.unregister("incoming_rows")


def to_arrow(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table; texts are made storable."""
    columns = [_clean(column) for column in zip(*rows, strict=True)]
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


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
