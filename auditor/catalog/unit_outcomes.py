"""Which audit each listed unit refers to. Every unit ends up as one row, with an outcome or as pending."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import duckdb

from auditor.catalog.bulk_insert import Loader, Row, timestamp
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.outcomes import TRANSIENT_REASONS
from auditor.records.result import WorkItem

UnitKey = tuple[str, str, str | None]
"""repo_id, commit sha, path (None for a repo as a whole)."""

_STAGING = """
CREATE TEMP TABLE staged_units (
    repo_id VARCHAR, commit_sha VARCHAR, path VARCHAR,
    outcome VARCHAR, reason VARCHAR, message VARCHAR, variant_of VARCHAR,
    stated_sha256 VARCHAR, name_sha256 VARCHAR, size_bytes BIGINT,
    base_name VARCHAR, base_claim VARCHAR, trigger VARCHAR, trigger_source VARCHAR);
CREATE TEMP TABLE staged_repos (
    repo_id VARCHAR, base_models VARCHAR[], base_relation VARCHAR, license VARCHAR, instance_prompt VARCHAR,
    tags VARCHAR[], pipeline_tag VARCHAR, library_name VARCHAR, gated VARCHAR, nsfw BOOLEAN,
    downloads BIGINT, likes BIGINT, created_at TIMESTAMP, last_modified TIMESTAMP);
CREATE TEMP TABLE recipe_order (recipe_id VARCHAR, base_name VARCHAR, place INTEGER);
"""

_PASSING = ", ".join(f"'{reason}'" for reason in sorted(TRANSIENT_REASONS))
# An audit counts for a unit when it was made for this very unit, or for the same bytes. What was found out about
# the place rather than the bytes (gone, not delivered, other bytes than stated) stays with the place.
# A failure that the next run tries again counts only while nothing else is known.
_CHOOSE = f"""
CREATE TEMP TABLE chosen AS
WITH unit AS (SELECT s.rowid AS unit, s.* FROM staged_units s WHERE s.outcome IS NULL),
candidate AS (
    SELECT t.unit, u.audit_id, true AS own FROM unit t JOIN audits u ON u.file_sha256 = t.name_sha256
    UNION ALL
    SELECT t.unit, u.audit_id, true FROM unit t JOIN audits u ON u.first_repo_id = t.repo_id
        AND u.first_commit_sha = t.commit_sha AND u.first_path = t.path
    UNION ALL
    SELECT t.unit, u.audit_id, false FROM unit t JOIN audits u ON u.file_sha256 = t.stated_sha256)
SELECT c.unit, arg_min(c.audit_id, struct_pack(
    kind := CASE WHEN u.outcome IN ('scored', 'scored_partial') THEN 0 WHEN u.outcome = 'no_effect' THEN 1 ELSE 2 END,
    passing := coalesce(u.reason IN ({_PASSING}), false),
    other_base := coalesce(r.base_name <> t.base_name, false), strange := NOT c.own,
    place := coalesce(r.place, 1000000), audit := c.audit_id)) AS audit_id
FROM candidate c
JOIN unit t ON t.unit = c.unit
JOIN audits u ON u.audit_id = c.audit_id
LEFT JOIN recipe_order r ON r.recipe_id = u.recipe_id
WHERE c.own OR r.recipe_id IS NOT NULL
    OR (u.outcome NOT IN ('gone', 'failed') AND u.reason IS DISTINCT FROM 'hash_mismatch')
GROUP BY c.unit
"""

_ADAPTERS = """
INSERT INTO adapters BY NAME
WITH unit AS (
    SELECT s.*, u.audit_id, u.outcome AS audit_outcome, u.reason AS audit_reason, u.message AS audit_message,
        CASE WHEN u.file_sha256 = s.name_sha256 THEN s.stated_sha256
             ELSE coalesce(u.file_sha256, s.stated_sha256) END AS file_sha256
    FROM staged_units s LEFT JOIN chosen c ON c.unit = s.rowid LEFT JOIN audits u ON u.audit_id = c.audit_id)
SELECT row_number() OVER (ORDER BY t.repo_id, t.path NULLS FIRST, t.commit_sha) AS adapter_id,
    t.repo_id, t.commit_sha, t.path,
    coalesce(t.outcome, t.audit_outcome, 'pending') AS outcome,
    coalesce(t.reason, t.audit_reason) AS reason,
    coalesce(t.message, t.audit_message, 'Not audited yet.') AS message,
    t.audit_id, t.file_sha256, coalesce(f.content_digest, t.file_sha256) AS weights,
    coalesce(t.size_bytes, f.size_bytes) AS size_bytes,
    CASE WHEN t.file_sha256 IS NULL THEN 1
         ELSE count(*) OVER (PARTITION BY coalesce(f.content_digest, t.file_sha256)) END AS copies,
    t.variant_of, t.base_name, t.base_claim,
    coalesce(p.base_models, []) AS base_models, p.base_relation, p.license,
    t.trigger, t.trigger_source, p.instance_prompt,
    coalesce(p.tags, []) AS tags, p.pipeline_tag, p.library_name, p.gated,
    coalesce(p.nsfw, false) AS nsfw, coalesce(p.downloads, 0) AS downloads, coalesce(p.likes, 0) AS likes,
    p.created_at, p.last_modified
FROM unit t
LEFT JOIN staged_repos p ON p.repo_id = t.repo_id
LEFT JOIN (SELECT u.file_sha256, max(k.size_bytes) AS size_bytes, min(k.content_digest) AS content_digest
           FROM file_facts k JOIN audits u ON u.audit_id = k.audit_id GROUP BY u.file_sha256) f
    ON f.file_sha256 = t.file_sha256
ORDER BY adapter_id
"""

_FILES = """
INSERT INTO files BY NAME
SELECT a.file_sha256, coalesce(a.size_bytes, f.size_bytes) AS size_bytes, a.copies,
    f.* EXCLUDE (file_sha256, audit_id, size_bytes)
FROM (SELECT file_sha256, max(size_bytes) AS size_bytes, count(*) AS copies FROM adapters
      WHERE file_sha256 IS NOT NULL GROUP BY file_sha256) a
LEFT JOIN (SELECT DISTINCT ON (u.file_sha256) u.file_sha256, k.*
           FROM file_facts k JOIN audits u ON u.audit_id = k.audit_id
           ORDER BY u.file_sha256, k.audit_id) f
    ON f.file_sha256 = a.file_sha256
ORDER BY a.file_sha256
"""


def create_staging(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the temporary tables of a merge."""
    connection.execute(_STAGING)


def stage_units(
    loader: Loader,
    items: Iterable[WorkItem],
    settled: Iterable[SettledItem],
    known_hashes: Mapping[UnitKey, str],
) -> tuple[int, int]:
    """Stage every unit once.

    Returns:
        Distinct units, and how often one was listed again.
    """
    rows: dict[UnitKey, Row] = {}
    given = 0
    for entry in settled:
        given += 1
        rows[(entry.repo_id, entry.commit_sha, entry.path)] = (
            *(entry.repo_id, entry.commit_sha, entry.path, entry.outcome, entry.reason, entry.message),
            *(entry.variant_of, *(None,) * 7),
        )
    for item in items:
        given += 1
        key = item.key
        rows[key] = (
            *(item.repo_id, item.commit_sha, item.path, None, None, None, None),
            item.file_sha256 or known_hashes.get(key),
            item.name_sha256,
            *(item.size_bytes, item.base_name, item.base_claim, item.trigger, item.trigger_source),
        )
    loader.stream("staged_units", rows.values())
    return len(rows), given - len(rows)


def stage_repos(loader: Loader, repos: Iterable[ListedRepo]) -> None:
    """Stage what the listing says about each repo, with the memory of one batch."""
    loader.stream("staged_repos", _repo_rows(repos))


def resolve_units(connection: duckdb.DuckDBPyConnection, recipes: Sequence[tuple[str, str]]) -> None:
    """Fill `adapters` and `files` from the staged rows and the audits.

    Args:
        connection: With the staged tables.
        recipes: recipe id and base name, the preferred first.
    """
    connection.execute("DELETE FROM recipe_order")
    for place, (recipe_id, base_name) in enumerate(recipes):
        connection.execute("INSERT INTO recipe_order VALUES (?, ?, ?)", [recipe_id, base_name, place])
    for statement in (_CHOOSE, _ADAPTERS, _FILES):
        connection.execute(statement)


def repos_without_units(connection: duckdb.DuckDBPyConnection) -> int:
    """Listed repos that no unit belongs to; a plan never leaves any."""
    row = connection.execute(
        "SELECT count(*) FROM staged_repos p ANTI JOIN staged_units s ON s.repo_id = p.repo_id"
    ).fetchone()
    return int(row[0]) if row else 0


def _repo_rows(repos: Iterable[ListedRepo]) -> Iterator[Row]:
    seen: set[str] = set()
    for repo in repos:
        if repo.repo_id in seen:
            continue
        seen.add(repo.repo_id)
        yield (
            *(repo.repo_id, repo.base_models, repo.base_relation, repo.license, repo.instance_prompt),
            *(repo.tags, repo.pipeline_tag, repo.library_name, repo.gated, repo.nsfw),
            *(repo.downloads, repo.likes, timestamp(repo.created_at), timestamp(repo.last_modified)),
        )
