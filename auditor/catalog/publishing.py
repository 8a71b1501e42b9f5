"""Build a database beside the published one and swap it in; one writer at a time, readers never wait."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import structlog

from auditor.catalog.migrations import migrate
from auditor.common.atomic_files import gone_with_its_disk, sync
from auditor.common.crash_points import crash_point
from auditor.errors import PrerequisiteMissing, TransientError

log = structlog.get_logger(__name__)
STORAGE_VERSION = "v1.4.0"
"""File format: the long-term one, readable by older command-line programs too."""

_MEMORY_LIMIT = "768MB"
_ROW_GROUP = 24_576
"""Rows; a fifth of the usual. Rows with pictures and vectors are large, and a question about one concept of a thousand
skips more of the scores."""


@contextmanager
def sole_writer(database: Path) -> Iterator[None]:
    """Hold the lock of a catalog; it is freed when the process ends, however it ends.

    Raises:
        TransientError: Another process holds it; the message says which.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: removing it would let a third process lock a new one beside a waiting second.
    descriptor = os.open(database.with_name(f".{database.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            raise TransientError(f"{database} is being merged by {holder}") from error
        now = datetime.now(UTC).isoformat(timespec="seconds")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def new_database(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to an empty migrated database that replaces `database` when the block succeeds.

    Needs `sole_writer`: what earlier writers left behind when they were killed is swept first.

    Raises:
        PrerequisiteMissing: The disk is full; the published database is as it was.
    """
    for stale in database.parent.glob(f".{database.name}.*.tmp*"):
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    temporary = database.with_name(f".{database.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    spill = temporary.with_name(f"{temporary.name}.spill")
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(spill),
            # One checkpoint at the end: each one before would write the last row groups again.
            "wal_autocheckpoint": "1TB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    try:
        quoted = str(temporary).replace("'", "''")
        connection.execute(
            f"ATTACH '{quoted}' AS building (STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {_ROW_GROUP})"
        )
        connection.execute("USE building")
        migrate(connection)
        yield connection
        connection.execute("CHECKPOINT building")
        connection.execute("USE memory")
        connection.execute("DETACH building")
        connection.close()
        publish(temporary, database)
    except (duckdb.Error, OSError) as error:
        if "No space left on device" in str(error):
            raise PrerequisiteMissing(
                f"there is no room for a new catalog in {database.parent}; the published one is as it was. "
                "Make room there for as much again as the catalog takes, and run `auditor merge` again"
            ) from error
        raise
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)
        for rest in (temporary, temporary.with_name(f"{temporary.name}.wal")):
            rest.unlink(missing_ok=True)


def publish(temporary: Path, database: Path) -> None:
    """Put a finished file on disk under its final name, durably."""
    with gone_with_its_disk(database):
        sync(temporary)
        crash_point("merge_checkpointed")
        _keep(database)
        os.replace(temporary, database)
        crash_point("merge_published")
        sync(database.parent)


def catalog_before(database: Path) -> Path:
    """Where the catalog that the present one replaced is kept, for the report of what changed."""
    return database.with_name(f"{database.stem}.before{database.suffix}")


def _keep(database: Path) -> None:
    """Give the published catalog a second name. On a disk without hard links there is none, and nothing to compare."""
    if not database.exists():
        return
    kept = catalog_before(database)
    # Named like all that a killed merge leaves, so that the next one sweeps it: a forgotten link holds a whole catalog.
    link = database.with_name(f".{database.name}.{os.getpid()}.before.tmp")
    try:
        link.unlink(missing_ok=True)
        os.link(database, link)
        os.replace(link, kept)
    except OSError as error:
        log.warning("the catalog before is not kept", path=str(kept), error=str(error))
        kept.unlink(missing_ok=True)
    finally:
        link.unlink(missing_ok=True)
