"""Read-only access: our own queries, and the SQL of users in a locked-down connection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb

from auditor.catalog.migrations import load_migrations
from auditor.catalog.sql_guard import refuse_telltales, within, without_paths
from auditor.errors import PrerequisiteMissing, UserError

MEMORY_LIMIT = "4GB"
"""For one query; a catalog of 80,000 adapters has some hundred megabytes."""

_DAMAGE = (duckdb.IOException, duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
"""What reading a cut or garbled file ends in."""

_LOCKED_DOWN: Mapping[str, str] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": MEMORY_LIMIT,
    "temp_directory": "",  # nothing is spilled to where the catalog lies, which may be read-only
    # Last: nothing above can be switched back on.
    "lock_configuration": "true",
}


@dataclass(frozen=True)
class Table:
    """An answer. Cells hold None, bool, int, finite float, str, and lists and dicts of these."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    truncated: bool

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
        raise damaged(database, error) from error


@contextmanager
def reading_catalog(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """`open_catalog`, closed at the end, and with damage that shows while it is read named.

    Raises:
        PrerequisiteMissing: There is none yet.
        UserError: The file is not a catalog, or not a whole one.
    """
    with closing(open_catalog(database)) as connection:
        try:
            yield connection
        except duckdb.Error as error:
            if isinstance(error, duckdb.CatalogException):
                check_schema(connection, database)  # it lacks what earlier versions did not have
            if not is_damage(error):
                raise
            raise damaged(database, error) from error


def check_schema(connection: duckdb.DuckDBPyConnection, database: Path) -> None:
    """Make sure that this version's migrations were all applied.

    Raises:
        UserError: An earlier version made the catalog.
    """
    (newest,) = connection.execute("SELECT max(number) FROM schema_migrations").fetchall()[0]
    if newest < len(load_migrations()):
        raise UserError(f"{database} was made by an earlier version, which lacks what is asked; run: auditor merge")


def is_damage(error: duckdb.Error) -> bool:
    """Whether reading ended at a block that is cut or garbled."""
    return isinstance(error, _DAMAGE) or "Corrupt database file" in str(error)


def damaged(database: Path, error: Exception) -> UserError:
    """What to say of a catalog whose blocks cannot be read. Nothing is lost: it is made from the result files."""
    return UserError(f"{database} is damaged ({_first_line(error)}); build it again with: auditor merge --rebuild")


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
    refuse_telltales(sql)
    if timeout_s is not None:
        return within(timeout_s, _run_sql, database, sql, limit)
    return _run_sql(database, sql, limit)


def _run_sql(database: Path, sql: str, limit: int | None) -> Table:
    with reading_catalog(database) as connection:
        try:
            if not connection.extract_statements(sql):
                raise UserError('there is no SQL in this; try: auditor sql "FROM lora_card"')
            return fetch(connection, sql, limit=limit)
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except duckdb.OutOfMemoryException as error:
            raise UserError(f"the query needs more than {MEMORY_LIMIT} of memory; ask for less at once") from error
        except duckdb.Error as error:
            if is_damage(error):
                raise
            said = without_paths(str(error).strip(), database)
            raise UserError(f"the catalog did not answer: {said}") from error


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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
