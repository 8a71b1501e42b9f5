"""What a merge counts, and how it is recorded: every listed unit ends up with an outcome or as pending."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from auditor import __version__
from auditor.catalog.bulk_insert import Loader, Row
from auditor.catalog.quarantine import in_quarantine
from auditor.catalog.reading import open_catalog
from auditor.catalog.unit_outcomes import repos_without_units, resolve_units
from auditor.errors import UserError
from auditor.lexicons import Lexicon
from auditor.records.outcomes import OUTCOMES, Outcome
from auditor.records.recipe import Recipe


@dataclass(frozen=True)
class MergeReport:
    """What a merge did. `listed` is the sum of `outcomes` and `pending`.

    Attributes:
        listed: Distinct units: adapter files, and repos without any.
        outcomes: Units by outcome, all outcomes included.
        pending: Units without a result.
        audits: Result files merged, the sum of `read` and `carried`.
        read: Result files read by this merge.
        carried: Result files whose rows were taken over from the published catalog.
        unreferenced: Audits that no listed unit refers to (repos that have left the Hub).
        other_recipes: Result files of recipes that were not asked for; left alone.
        rejected: Result files moved to quarantine, with the reason.
        unreadable: Result files that the disk did not give; left where they are.
        listed_twice: Units that were given more than once and count once.
        repos_without_units: Listed repos that no unit belongs to.
        reconciles: Every listed repo and unit is accounted for in the published file.
        seconds: Wall-clock time.
    """

    listed: int
    outcomes: Mapping[Outcome, int]
    pending: int
    audits: int
    read: int
    carried: int
    unreferenced: int
    other_recipes: int
    rejected: tuple[tuple[str, str], ...]
    unreadable: int
    listed_twice: int
    repos_without_units: int
    reconciles: bool
    seconds: float


@dataclass
class Reading:
    """What one merge has learned from the result files so far; survives starting again.

    Attributes:
        rebuild: Every result file is to be read.
        other_recipes: Result files of recipes that were not asked for.
        rejected: Names and reasons of result files moved to quarantine.
        unreadable: Names of result files that the disk did not give.
        read: Result files whose rows were read.
        carried: Result files whose rows were taken over.
    """

    rebuild: bool
    other_recipes: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    read: int = 0
    carried: int = 0


def account(
    loader: Loader,
    recipes: Sequence[Recipe],
    lexicon: Lexicon,
    quarantine: Path,
    reading: Reading,
    staged: tuple[int, int],
    clock: float,
) -> MergeReport:
    """Join units and audits, and count.

    Args:
        loader: Of a database with all results and staged units.
        recipes: The preferred first.
        lexicon: The one that the recipes name.
        quarantine: Folder of rejected result files.
        reading: What became of the result files.
        staged: Distinct units, and how often one was listed again.
        clock: Monotonic time at the start.
    """
    connection, (listed, listed_twice) = loader.connection, staged
    resolve_units(connection, [(recipe.recipe_id, recipe.base_name) for recipe in recipes])
    without_units = repos_without_units(connection)
    for name, reason, place in in_quarantine(quarantine):
        loader.add("rejected_results", name, reason, place)
    counts = dict(connection.execute("SELECT outcome, count(*) FROM adapters GROUP BY outcome").fetchall())
    return MergeReport(
        listed=listed,
        outcomes={outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
        pending=counts.get("pending", 0),
        audits=_one(connection, "SELECT count(*) FROM audits"),
        read=reading.read,
        carried=reading.carried,
        unreferenced=_one(connection, "SELECT count(*) FROM audits u ANTI JOIN adapters a USING (audit_id)"),
        other_recipes=reading.other_recipes,
        rejected=tuple(reading.rejected),
        unreadable=len(reading.unreadable),
        listed_twice=listed_twice,
        repos_without_units=without_units,
        reconciles=without_units == 0 and listed == sum(counts.values()) and _sound(connection, lexicon),
        seconds=time.monotonic() - clock,
    )


def _sound(connection: duckdb.DuckDBPyConnection, lexicon: Lexicon) -> bool:
    """Whether every scored audit has one score per concept, and every reference leads somewhere."""
    odd = _one(
        connection,
        "SELECT count(*) FROM audits u LEFT JOIN (SELECT audit_id, count(*) AS n FROM scores GROUP BY audit_id) s "
        "ON s.audit_id = u.audit_id WHERE coalesce(s.n, 0) <> ? "
        "AND (u.outcome IN ('scored', 'scored_partial') OR s.n IS NOT NULL)",
        len(lexicon.concepts),
    )
    dangling = _one(
        connection,
        "SELECT count(*) FROM adapters a ANTI JOIN audits u ON u.audit_id = a.audit_id WHERE a.audit_id IS NOT NULL",
    )
    return odd == 0 and dangling == 0


def _one(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> int:
    return int(connection.execute(sql, list(parameters)).fetchall()[0][0])


def record_run(
    loader: Loader, database: Path, lexicon: Lexicon, row_format: str, report: MergeReport, started: datetime
) -> None:
    """Rows of the earlier runs and of this one.

    Args:
        loader: Of the database being built.
        database: The catalog that is being replaced.
        lexicon: Of this merge.
        row_format: Of this merge.
        report: Of this merge.
        started: When it began, UTC.
    """
    for run in _earlier_runs(loader, database):
        loader.add("runs", *run)
    loader.add(
        "runs",
        f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        *(started.replace(tzinfo=None), datetime.now(UTC).replace(tzinfo=None), __version__),
        *(lexicon.identifier, lexicon.content_hash, report.listed, report.pending),
        *(report.outcomes[outcome] for outcome in OUTCOMES),
        *(report.audits, report.read, report.carried, len(report.rejected), row_format),
    )
    loader.flush()


def _earlier_runs(loader: Loader, database: Path) -> list[Row]:
    """Run rows of the catalog that is being replaced; none when it cannot be read any more."""
    columns = ", ".join(loader.schema("runs").names)
    try:
        with closing(open_catalog(database)) as old:
            return list(old.execute(f"SELECT {columns} FROM runs ORDER BY started_at").fetchall())
    except (UserError, duckdb.Error):
        return []
