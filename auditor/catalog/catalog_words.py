"""What questions to a catalog can refer to."""

from __future__ import annotations

from collections.abc import Container

import duckdb

from auditor.catalog.questions.question import CatalogWords


class _Owners(Container[str]):
    """Owners in small letters, looked up when asked for: there are tens of thousands, and few questions name one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._known: dict[str, bool] = {}

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or "/" in name:
            return False
        if name not in self._known:
            found = self._connection.execute(
                "SELECT 1 FROM adapters WHERE starts_with(lower(repo_id), ? || '/') OR lower(repo_id) = ? LIMIT 1",
                [name, name],
            )
            self._known[name] = found.fetchone() is not None
        return self._known[name]


def catalog_words(connection: duckdb.DuckDBPyConnection) -> CatalogWords:
    """What questions to this catalog can refer to."""
    rows = connection.execute("SELECT key, concept, alias FROM concept_aliases").fetchall()
    bases = {
        str(name)
        for query in ("SELECT base_name, family FROM recipes", "SELECT DISTINCT base_name FROM adapters")
        for row in connection.execute(query).fetchall()
        for name in row
        if name
    }
    licences = connection.execute("SELECT DISTINCT license FROM adapters WHERE license IS NOT NULL").fetchall()

    def holds(text: str) -> bool:
        found = connection.execute("SELECT 1 FROM adapters WHERE contains(lower(repo_id), ?) LIMIT 1", [text])
        return found.fetchone() is not None

    return CatalogWords(
        aliases={str(key): str(concept) for key, concept, _ in rows},
        alias_names=tuple(str(alias) for _, _, alias in rows),
        bases=tuple(sorted(bases)),
        licences=tuple(sorted(str(row[0]) for row in licences)),
        owners=_Owners(connection),
        holds=holds,
    )
