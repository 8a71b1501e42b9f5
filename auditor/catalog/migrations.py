"""Apply the numbered SQL files of `schemas/`, each together with its record in one transaction."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from auditor.common.package_paths import shipped_dir
from auditor.errors import UserError

_FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the file."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load_migrations(folder: Path | None = None) -> list[Migration]:
    """The migrations in order. Numbers must count up from 1 without a gap, or one was forgotten."""
    found = []
    for path in sorted((folder or shipped_dir("schemas")).glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None:
            raise ValueError(f"{path.name}: a migration is called NNNN_words.sql")
        found.append(Migration(int(match[1]), path.name, path.read_text(encoding="utf-8")))
    if [item.number for item in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered 1, 2, 3, ...: {[item.name for item in found]}")
    return found


def migrate(connection: duckdb.DuckDBPyConnection, folder: Path | None = None) -> list[str]:
    """Bring the current database up to date; return the names of what was applied.

    The database must be the connection's default one (`USE`): macros remember the name they were created under.

    Raises:
        UserError: The database was made by a newer version, or by other files of the same number.
    """
    migrations = load_migrations(folder)
    done = _applied(connection)
    known = {item.number: item for item in migrations}
    for number, sha256 in done.items():
        if number not in known or known[number].sha256 != sha256:
            raise UserError(
                f"this catalog has another migration {number:04d} than this version of auditor; "
                "run `auditor merge` to build it anew"
            )
    names = []
    for item in migrations:
        if item.number not in done:
            _apply(connection, item)
            names.append(item.name)
    return names


def same_schema(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the current database was made by exactly the migrations of this version."""
    return _applied(connection) == {item.number: item.sha256 for item in load_migrations()}


def _applied(connection: duckdb.DuckDBPyConnection) -> dict[int, str]:
    present = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_migrations' AND database_name = current_database()"
    ).fetchone()
    if present is None:
        return {}
    return dict(connection.execute("SELECT number, sha256 FROM schema_migrations").fetchall())


def _apply(connection: duckdb.DuckDBPyConnection, item: Migration) -> None:
    connection.execute("BEGIN")
    try:
        connection.execute(item.sql)
        connection.execute(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?)",
            [item.number, item.name, item.sha256, datetime.now(UTC).replace(tzinfo=None)],
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
