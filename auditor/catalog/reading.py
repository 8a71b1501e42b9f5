"""Read-only access: our own queries, and the SQL of users in a locked-down connection."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from auditor.errors import PrerequisiteMissing, UserError

_LOCKED_DOWN: Mapping[str, str] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    # Last: nothing above can be switched back on.
    "lock_configuration": "true",
}


@dataclass(frozen=True)
class Table:
    """An answer. Cells hold None, bool, int, finite float, str, and lists and dicts of these."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool = False

    def records(self) -> list[dict[str, object]]:
        """Rows as dicts; of columns with one name the last counts."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def open_catalog(database: Path) -> duckdb.DuckDBPyConnection:
    """Open a catalog for reading. It can reach no other file, no network and no extension.

    Raises:
        PrerequisiteMissing: There is none yet.
        UserError: The file is not a catalog.
    """
    if not database.is_file():
        raise PrerequisiteMissing(f"there is no catalog at {database}; make one with `auditor nightly`")
    try:
        connection = duckdb.connect(str(database), read_only=True, config=dict(_LOCKED_DOWN))
        connection.execute("SELECT 1 FROM schema_migrations LIMIT 1")
        return connection
    except duckdb.CatalogException as error:
        raise UserError(f"{database} is a DuckDB file but no catalog; `auditor merge` makes one") from error
    except duckdb.Error as error:
        raise UserError(f"{database} cannot be read as a catalog: {_first_line(error)}") from error


def run_sql(database: Path, sql: str, limit: int | None = 1000, *, timeout_s: float | None = None) -> Table:
    """Answer a user's own SQL, read-only, without files, network, extensions or settings.

    Args:
        database: The catalog.
        sql: One or more statements; the last one's rows are returned.
        limit: Most rows returned; None for all.
        timeout_s: Seconds after which the query is given up.

    Raises:
        UserError: The SQL is wrong or asks for something that is not allowed.
    """
    with closing(open_catalog(database)) as connection:
        watch = threading.Timer(timeout_s, connection.interrupt) if timeout_s is not None else None
        if watch is not None:
            watch.start()
        try:
            if not connection.extract_statements(sql):
                raise UserError('there is no SQL in this; try: auditor sql "FROM lora_card"')
            return fetch(connection, sql, limit=limit)
        except duckdb.InterruptException as error:
            if watch is None:
                raise KeyboardInterrupt from error
            raise UserError(f"the query took longer than {timeout_s:g} s and was given up") from error
        except duckdb.Error as error:
            raise UserError(f"the catalog did not answer: {str(error).strip()}") from error
        finally:
            if watch is not None:
                watch.cancel()


def fetch(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[object] | None = None,
    *,
    limit: int | None = None,
) -> Table:
    """Run one query and return plain values."""
    cursor = connection.execute(sql, list(parameters) if parameters is not None else None)
    rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
    truncated = limit is not None and len(rows) > limit
    shown = rows[:limit] if truncated else rows
    columns = tuple(str(column[0]) for column in cursor.description or ())
    return Table(columns, tuple(tuple(plain(cell) for cell in row) for row in shown), truncated)


def plain(cell: object) -> object:
    """A value as JSON can hold it: bytes become their size, non-finite numbers None, the rest of a kind text."""
    if cell is None or isinstance(cell, bool | int | str):
        return cell
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, bytes | bytearray | memoryview):
        return f"<{len(cell)} bytes>"
    if isinstance(cell, list | tuple):
        return [plain(item) for item in cell]
    if isinstance(cell, dict):
        return {str(key): plain(value) for key, value in cell.items()}
    return str(cell)


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().partition("\n")[0]
