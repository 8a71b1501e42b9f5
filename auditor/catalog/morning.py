"""What a night did, from the catalog it ended in and the one before: the facts of the morning report."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import duckdb

from auditor.catalog.comparisons import difference
from auditor.catalog.coverage import Covered, read_coverage
from auditor.catalog.reading import Table, open_catalog
from auditor.catalog.sql_texts import literal
from auditor.records.outcomes import REASON_NOTES, Reason

SHOWN: Final = 20
"""Most rows of a list in the report; the counts are of all."""

_BEST: Final = 5
_AUDITED: Final = ("scored", "scored_partial", "no_effect")


@dataclass(frozen=True)
class Trouble:
    """Units without a score for one reason, and what to do: audited this night, or never opened."""

    outcome: str
    reason: str
    units: int
    meaning: str
    next_step: str
    example: str


@dataclass(frozen=True)
class Best:
    """One of the best adapters for a followed concept; `new` when this night audited it."""

    repo_id: str
    path: str
    score: float
    low: float
    high: float
    new: bool


@dataclass(frozen=True)
class Followed:
    """A followed concept and its best adapters; `known` is False for a word that is not in the lexicon."""

    concept: str
    known: bool
    best: tuple[Best, ...]


@dataclass(frozen=True)
class HistoryPoint:
    """One merge: when it ended, units listed, and units audited."""

    finished_at: datetime
    listed: int
    audited: int


@dataclass(frozen=True)
class MorningReport:
    """Everything that the report says.

    Attributes:
        made_at: When the catalog was merged, UTC.
        since: When the one before was; None on the first night.
        outcomes: Units of the catalog by outcome, with those of the one before.
        added: Units that were not listed before, as (repo, path).
        gone: Units that are listed no more.
        changed: Units with another commit than before.
        by_base: Units audited this night: (base, outcome, count).
        troubles: Why others were not scored, this night or unopened, most frequent first.
        followed: New best adapters for followed concepts.
        stages: Seconds spent in this night's audits, by stage.
        audits: Audits of this night.
        expected_s: What they were expected to take, by the mean of the audits before on the same bases; None when one
            of them drew pictures on a base that no audit was timed on before.
        coverage: By family, the largest first.
        history: All merges so far.
        moved: Scores of unchanged files that moved beyond their intervals: a fault of the audit.
    """

    made_at: datetime
    since: datetime | None
    outcomes: tuple[tuple[str, int, int], ...]
    added: tuple[tuple[str, str], ...]
    gone: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]
    by_base: tuple[tuple[str, str, int], ...]
    troubles: tuple[Trouble, ...]
    followed: tuple[Followed, ...]
    stages: tuple[tuple[str, float], ...]
    audits: int
    expected_s: float | None
    coverage: tuple[Covered, ...]
    history: tuple[HistoryPoint, ...]
    moved: Table | None

    @property
    def spent_s(self) -> float:
        """Seconds of all audits of this night."""
        return sum(seconds for _, seconds in self.stages)


def read_morning(database: Path, before: Path | None, follow: tuple[str, ...] = ()) -> MorningReport:
    """Collect the facts.

    Args:
        database: The catalog.
        before: The one that it replaced, if that is kept.
        follow: Concepts whose best adapters are shown.

    Raises:
        UserError: There is no catalog, or one of the two is damaged.
    """
    changes = difference(before, database) if before is not None else None
    with closing(open_catalog(database)) as connection:
        history = tuple(
            HistoryPoint(*row)
            for row in connection.execute(
                "SELECT finished_at, listed, scored + scored_partial + no_effect FROM runs ORDER BY finished_at, run_id"
            ).fetchall()
        )
        since = _before(connection, before)
        counts = dict(_counts(connection))
        old = dict(_counts_of(before)) if before is not None else {}
        stages, audits, expected = _effort(connection, since)
        return MorningReport(
            made_at=history[-1].finished_at if history else datetime.now(UTC).replace(tzinfo=None),
            since=since,
            outcomes=tuple((name, counts.get(name, 0), old.get(name, 0)) for name in sorted(counts | old)),
            added=_pairs(changes.added) if changes else (),
            gone=_pairs(changes.gone) if changes else (),
            changed=_changed(connection, before) if before is not None else (),
            by_base=_by_base(connection, since),
            troubles=_troubles(connection, since),
            followed=tuple(_followed(connection, concept, since) for concept in follow),
            stages=stages,
            audits=audits,
            expected_s=expected,
            coverage=read_coverage(database, "family"),
            history=history,
            moved=changes.moved if changes else None,
        )


def _pairs(table: Table) -> tuple[tuple[str, str], ...]:
    return tuple((str(repo), str(path)) for repo, path in table.rows)


def _counts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    return connection.execute("SELECT outcome, count(*) FROM adapters GROUP BY outcome").fetchall()


def _counts_of(database: Path) -> list[tuple[str, int]]:
    with closing(open_catalog(database)) as connection:
        return _counts(connection)


def _before(connection: duckdb.DuckDBPyConnection, before: Path | None) -> datetime | None:
    """When the catalog before was merged."""
    if before is None:
        return None
    with closing(open_catalog(before)) as other:
        row = other.execute("SELECT max(finished_at) FROM runs").fetchone()
    return cast("datetime | None", row[0]) if row else None


def _changed(connection: duckdb.DuckDBPyConnection, before: Path) -> tuple[tuple[str, str], ...]:
    unit = "SELECT repo_id, coalesce(path, ''), commit_sha FROM adapters"
    with closing(open_catalog(before)) as other:
        old = {(repo, path): commit for repo, path, commit in other.execute(unit).fetchall()}
    now = connection.execute(f"{unit} ORDER BY ALL").fetchall()
    return tuple((repo, path) for repo, path, commit in now if old.get((repo, path), commit) != commit)


def _of_the_night(since: datetime | None) -> str:
    return "true" if since is None else f"u.finished_at > {literal(since.isoformat(sep=' '))}::TIMESTAMP"


def _by_base(connection: duckdb.DuckDBPyConnection, since: datetime | None) -> tuple[tuple[str, str, int], ...]:
    rows = connection.execute(
        "SELECT coalesce(u.base_name, 'none'), u.outcome, count(*) FROM audits u "
        f"WHERE {_of_the_night(since)} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return tuple(rows)


def _troubles(connection: duckdb.DuckDBPyConnection, since: datetime | None) -> tuple[Trouble, ...]:
    rows = connection.execute(
        "SELECT a.outcome, a.reason, count(*) AS units, min(a.repo_id || coalesce('/' || a.path, '')) FROM adapters a "
        "LEFT JOIN audits u ON u.audit_id = a.audit_id "
        f"WHERE a.reason IS NOT NULL AND a.outcome NOT IN {_AUDITED} "
        f"AND (u.audit_id IS NULL OR {_of_the_night(since)}) "
        "GROUP BY ALL ORDER BY units DESC, a.reason, a.outcome"
    ).fetchall()
    found = []
    for outcome, reason, units, example in rows:
        note = REASON_NOTES.get(cast("Reason", reason))
        meaning, advice = (note.meaning, note.advice) if note else (reason, None)
        found.append(Trouble(outcome, reason, units, meaning, advice or "nothing to do", example))
    return tuple(found)


def _followed(connection: duckdb.DuckDBPyConnection, concept: str, since: datetime | None) -> Followed:
    named = connection.execute(
        "SELECT concept FROM concepts WHERE lower(concept) = lower($word) "
        "UNION SELECT concept FROM concept_aliases WHERE lower(alias) = lower($word)",
        {"word": concept},
    ).fetchone()
    if named is None:
        return Followed(concept, False, ())
    rows = connection.execute(
        f"SELECT m.repo_id, m.path, m.matched[1].score, m.matched[1].low, m.matched[1].high, {_of_the_night(since)} "
        f"FROM most_of([{literal(named[0])}], k := {_BEST}) m JOIN audits u ON u.audit_id = m.audit_id "
        "WHERE m.matched[1].low > 0 ORDER BY m.place"
    ).fetchall()
    return Followed(concept, True, tuple(Best(*row) for row in rows))


def _effort(
    connection: duckdb.DuckDBPyConnection, since: datetime | None
) -> tuple[tuple[tuple[str, float], ...], int, float | None]:
    """Seconds by stage of this night's audits, their number, and what audits before would have taken in their place."""
    stages = connection.execute(
        "SELECT s.key, sum(s.value) FROM (SELECT unnest(map_entries(timings_s)) AS s FROM audits u "
        f"WHERE {_of_the_night(since)}) GROUP BY ALL ORDER BY 2 DESC"
    ).fetchall()
    audits = connection.execute(f"SELECT count(*) FROM audits u WHERE {_of_the_night(since)}").fetchone()
    expected = None
    if since is not None:
        # By base and outcome: a skipped file takes no picture.
        row = connection.execute(
            "WITH spent AS (SELECT u.base_name, u.outcome, list_sum(map_values(u.timings_s)) AS s, "
            f"{_of_the_night(since)} AS tonight FROM audits u), "
            "mean AS (SELECT base_name, outcome, avg(s) AS s FROM spent WHERE NOT tonight GROUP BY ALL) "
            f"SELECT sum(m.s), count(*) FILTER (m.s IS NULL AND t.outcome IN {_AUDITED}) "
            "FROM spent t LEFT JOIN mean m ON m.outcome = t.outcome "
            "AND m.base_name IS NOT DISTINCT FROM t.base_name WHERE t.tonight"
        ).fetchone()
        expected = float(row[0]) if row and row[0] is not None and not row[1] else None
    return tuple((str(name), float(s or 0)) for name, s in stages), int(audits[0]) if audits else 0, expected
