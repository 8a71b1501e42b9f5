"""What a user's own SQL may not do although it only reads: tell of the machine, or run on after its time.

DuckDB's catalog functions show the paths of databases, of its own folders and settings, and it looks at an interrupt
between chunks of rows only, so that one long scalar function is deaf to it.
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import duckdb

from auditor.errors import AuditorError, UserError

T = TypeVar("T")

_GAP = r"(?>\s|/\*(?:[^*]|\*(?!/))*+\*/|--[^\n]*+\n)*+"
_TELLTALE = re.compile(
    r"\b(?:duckdb_(?:databases|\w*settings|\w*file_cache|extensions|secrets|secret_types|temporary_files|log\w*|optimizers|memory)"
    r"|pragma_(?:database_list|database_size|platform|user_agent)|database_list|current_setting|getenv|which_secret"
    r"|pg_settings|json_execute_serialized_sql|from_substrait\w*)\b"
    # These run SQL from strings, in which the names above could be put together.
    rf"|\bquery(?:_table)?\b\"?{_GAP}\("
    r"|\bu&[\"']",
    re.IGNORECASE | re.DOTALL,
)
_SHOWN = re.compile(rf"\bshow\b{_GAP}\"?(\w+)", re.IGNORECASE | re.DOTALL)


@cache
def _settings() -> frozenset[str]:
    """Names of DuckDB's settings, of which some hold folders: `SHOW name` tells their values."""
    with duckdb.connect() as connection:
        return frozenset(
            str(name).lower() for (name,) in connection.execute("SELECT name FROM duckdb_settings()").fetchall()
        )


def refuse_telltales(sql: str) -> None:
    """Refuse SQL that asks about the machine rather than the catalog; in strings and comments too.

    Telling these apart would mean to read them exactly as DuckDB does.

    Raises:
        UserError: It names a function or view that does.
    """
    found = _TELLTALE.search(sql)
    if found is None:
        found = next((shown for shown in _SHOWN.finditer(sql) if shown[1].lower() in _settings()), None)
    if found is not None:
        name = " ".join(found[0].split())[:60]
        raise UserError(f"{name} tells of this machine, not of the catalog; `DESCRIBE lora_card` says what there is")


def without_paths(text: str, database: Path) -> str:
    """A message of DuckDB without the folder of the catalog and without our home."""
    for folder in (str(database.absolute().parent), str(Path.home()), os.getcwd()):
        if len(folder) > 1:
            text = text.replace(folder, "…")
    return text


def within(timeout_s: float, work: Callable[..., T], *arguments: object) -> T:
    """Do work in a process of its own, which is ended when its time is over.

    Args:
        timeout_s: Seconds from when the process is ready.
        work: A function of a module.
        arguments: What it is called with.

    Raises:
        UserError: It took longer, or used up the memory; or as the work raises.
    """
    context = multiprocessing.get_context("spawn")  # a fork would take locks of other threads along
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, work, arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        ours.recv()  # it has imported what it needs
        if not ours.poll(timeout_s):
            raise UserError(f"the query took longer than {timeout_s:g} s and was given up")
        found = ours.recv()
    except EOFError as error:
        raise UserError("the query ended its process: it needs more memory than there is; ask for less") from error
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(found, AuditorError):
        raise found
    result: T = found
    return result


def _child(pipe: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    pipe.send(None)
    try:
        pipe.send(work(*arguments))
    except AuditorError as error:
        pipe.send(error)
