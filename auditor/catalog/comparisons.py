"""Adapters beside each other: neighbours, two in words and numbers, duplicates, and the catalogs of two nights."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auditor.catalog.cluster_words import cluster_words
from auditor.catalog.reading import Table, fetch, open_catalog, reading_catalog
from auditor.catalog.sql_texts import literal

_DUPLICATE_COSINE = 0.98


@dataclass(frozen=True)
class Comparison:
    """What one adapter has that the other lacks. Names are concepts whose intervals do not overlap."""

    first: str
    second: str
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    cosine: float | None
    table: Table

    @property
    def words(self) -> str:
        """One sentence for people."""
        more = [
            f"{name} is more {', '.join(found)}"
            for name, found in ((self.first, self.only_first), (self.second, self.only_second))
            if found
        ]
        alike = "" if self.cosine is None else f"; their changes have a cosine of {self.cosine:.2f}"
        return ("; ".join(more) or "no concept differs beyond both intervals") + alike


def similar(database: Path, repo: str, k: int = 10) -> Table:
    """Neighbours of an adapter, nearest first, by the cosine of V.

    Raises:
        UserError: The catalog has no scored adapter of that name; the message names near ones.
    """
    with reading_catalog(database) as connection:
        name = _known(database, repo)
        return fetch(
            connection,
            "SELECT repo_id, path, cosine, concepts, base, license, trigger "
            f"FROM similar_to({literal(name)}, k := {k})",
        )


def compare(database: Path, first: str, second: str) -> Comparison:
    """Two adapters concept by concept.

    Raises:
        UserError: One of them is not a scored adapter of the catalog.
    """
    one, two = _known(database, first), _known(database, second)
    with reading_catalog(database) as connection:
        rows = fetch(
            connection,
            "SELECT concept, score_a, low_a, high_a, score_b, low_b, high_b, difference, distinct_intervals "
            f"FROM compare({literal(one)}, {literal(two)}) WHERE greatest(score_a, score_b) > 0 "
            "ORDER BY NOT distinct_intervals, abs(difference) DESC, concept",
        )
        cosine = fetch(
            connection,
            "SELECT list_cosine_similarity(x.divergence, y.divergence) FROM audits x, audits y "
            f"WHERE x.audit_id = audited({literal(one)}, NULL) AND y.audit_id = audited({literal(two)}, NULL) "
            "AND len(x.divergence) = len(y.divergence)",
        ).rows
        words = cluster_words(connection)
        (recipe,) = connection.execute(
            f"SELECT recipe_id FROM audits WHERE audit_id = audited({literal(one)}, NULL)"
        ).fetchone() or (None,)
    apart = [row for row in rows.records() if row["distinct_intervals"]]
    more, less = ([str(r["concept"]) for r in apart if sign * float(str(r["difference"])) > 0] for sign in (1, -1))
    # What one has under one word, and the other under a word that means the same here, is no difference.
    cluster = partial(words.of, recipe)
    both = (set(map(cluster, more)) & set(map(cluster, less))) - {()}
    return Comparison(
        one,
        two,
        tuple(name for name in more if cluster(name) not in both),
        tuple(name for name in less if cluster(name) not in both),
        float(str(cosine[0][0])) if cosine and cosine[0][0] is not None else None,
        rows,
    )


def duplicates(database: Path, *, by_effect: bool = False, limit: int = 100) -> Table:
    """Groups of adapters with the same weights, or pairs of different weights that do nearly the same.

    Args:
        database: The catalog.
        by_effect: Pairs whose V have a cosine of `_DUPLICATE_COSINE` or more, within one base. Every pair of a base is
            compared, so the time grows with the square of its adapters.
        limit: Most rows.
    """
    by_weights = (
        "SELECT count(*) AS copies, list(repo_id || '/' || path ORDER BY downloads DESC, created_at, repo_id, path) "
        "AS adapters FROM adapters WHERE weights IS NOT NULL AND path IS NOT NULL GROUP BY weights "
        f"HAVING count(*) > 1 ORDER BY copies DESC, adapters LIMIT {limit}"
    )
    effect = (
        "WITH one AS (SELECT u.audit_id, u.recipe_id, u.divergence, d.repo_id, d.path, d.downloads "
        "FROM distinct_adapters d JOIN audits u USING (audit_id) WHERE u.divergence IS NOT NULL) "
        "SELECT x.repo_id AS first, y.repo_id AS second, "
        "list_cosine_similarity(x.divergence, y.divergence) AS cosine FROM one x JOIN one y "
        "ON x.recipe_id = y.recipe_id AND x.audit_id < y.audit_id "
        f"WHERE list_cosine_similarity(x.divergence, y.divergence) >= {_DUPLICATE_COSINE} "
        f"ORDER BY cosine DESC, first, second LIMIT {limit}"
    )
    with reading_catalog(database) as connection:
        return fetch(connection, effect if by_effect else by_weights)


@dataclass(frozen=True)
class CatalogDifference:
    """What changed from one catalog to the next. `moved` are scores whose intervals no longer overlap."""

    added: Table
    gone: Table
    outcomes: Table
    moved: Table


def difference(old: Path, new: Path) -> CatalogDifference:
    """Compare two catalogs.

    The same bytes under the same recipe must give the same scores up to their intervals; those that do not are a fault
    of the audit, not of the adapter.

    Raises:
        UserError: One of the two is no catalog.
    """
    for database in (old, new):
        open_catalog(database).close()
    import duckdb

    with closing(duckdb.connect(":memory:")) as connection:
        for name, database in (("older", old), ("newer", new)):
            connection.execute(f"ATTACH {literal(str(database))} AS {name} (READ_ONLY)")
        unit = "repo_id, coalesce(path, '') AS path"
        return CatalogDifference(
            added=fetch(
                connection, f"SELECT {unit} FROM newer.adapters EXCEPT SELECT {unit} FROM older.adapters ORDER BY ALL"
            ),
            gone=fetch(
                connection, f"SELECT {unit} FROM older.adapters EXCEPT SELECT {unit} FROM newer.adapters ORDER BY ALL"
            ),
            outcomes=fetch(
                connection,
                "SELECT n.repo_id, n.path, o.outcome AS before, n.outcome AS after, n.reason FROM newer.adapters n "
                "JOIN older.adapters o ON o.repo_id = n.repo_id AND o.path IS NOT DISTINCT FROM n.path "
                "WHERE o.outcome <> n.outcome ORDER BY ALL",
            ),
            moved=fetch(
                connection,
                "SELECT b.first_repo_id AS repo_id, s.concept, r.score AS before, s.score AS after, "
                "r.low AS low_before, r.high AS high_before, s.low AS low_after, s.high AS high_after "
                "FROM newer.audits b "
                "JOIN older.audits a ON a.file_sha256 = b.file_sha256 AND a.recipe_id = b.recipe_id "
                "JOIN newer.scores s ON s.audit_id = b.audit_id "
                "JOIN older.scores r ON r.audit_id = a.audit_id AND r.concept = s.concept "
                "WHERE s.low > r.high OR r.low > s.high ORDER BY ALL",
            ),
        )


def _known(database: Path, repo: str) -> str:
    """The repo's name as the catalog spells it."""
    from auditor.catalog.adapter_cards import read_cards

    return str(read_cards(database, repo)[0].card["repo_id"])
