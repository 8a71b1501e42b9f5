"""What questions to a catalog can refer to."""

from __future__ import annotations

import duckdb

from auditor.catalog.questions.question import CatalogWords


def catalog_words(connection: duckdb.DuckDBPyConnection) -> CatalogWords:
    """What questions to this catalog can refer to."""
    rows = connection.execute("SELECT key, concept, alias FROM concept_aliases").fetchall()
    bases = connection.execute(
        "SELECT DISTINCT unnest([base_name, family]) FROM recipes WHERE base_name IS NOT NULL "
        "UNION SELECT DISTINCT base_name FROM adapters WHERE base_name IS NOT NULL"
    ).fetchall()
    licences = connection.execute("SELECT DISTINCT license FROM adapters WHERE license IS NOT NULL").fetchall()
    owners = connection.execute("SELECT DISTINCT lower(split_part(repo_id, '/', 1)) FROM adapters").fetchall()

    def holds(text: str) -> bool:
        found = connection.execute("SELECT 1 FROM adapters WHERE contains(lower(repo_id), ?) LIMIT 1", [text])
        return found.fetchone() is not None

    return CatalogWords(
        aliases={str(key): str(concept) for key, concept, _ in rows},
        alias_names=tuple(str(alias) for _, _, alias in rows),
        bases=tuple(sorted(str(row[0]) for row in bases if row[0])),
        licences=tuple(sorted(str(row[0]) for row in licences)),
        owners=frozenset(str(row[0]) for row in owners),
        holds=holds,
    )
