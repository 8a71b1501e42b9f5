"""Put the rows of results into the database being built: blocks just read, and rows carried over.

A result has its place (`audit_id`) by content hash and recipe among all results of the catalog, so that a catalog
that grew night by night equals one that was built at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from auditor.catalog.bulk_insert import Loader
from auditor.catalog.result_reading import Block
from auditor.catalog.result_rows import ROW_TABLES, SCORE_TABLES, FileState, ScoreBlock
from auditor.results.result_file import SCORE_COLUMNS

_SCORES_TOGETHER = 2_000
"""Results whose scores are inserted at once, concept by concept: the database then skips most of the table when it
is asked about one concept. More would skip more and take more memory (20 bytes per result and concept)."""


class Filler:
    """Inserts blocks of results under the places they are given."""

    def __init__(self, loader: Loader, names: Sequence[str]) -> None:
        self._loader = loader
        self._order = np.argsort(np.array(names))
        self._names = pa.array([names[i] for i in self._order])
        self._images: set[str] = set()
        self._scores: dict[str, list[ScoreBlock]] = {}

    def add(self, block: Block, places: NDArray[np.int32]) -> None:
        """Insert the rows of a block; result i gets `places[i]`."""
        for name, rows in block.tables.items():
            if name == "images":
                rows = self._unseen(rows)
            else:
                own = pc.take(pa.array(places), rows.column("audit_id"))
                rows = rows.set_column(rows.schema.get_field_index("audit_id"), rows.schema.field("audit_id"), own)
            self._loader.insert(name, rows)
        for name, scores in block.scores.items():
            kept = self._scores.setdefault(name, [])
            kept.append(ScoreBlock(places[scores.results], scores.probes, scores.values))
            if sum(len(part.results) for part in kept) >= _SCORES_TOGETHER:
                self._insert_scores(name)

    def finish(self) -> None:
        """Insert what is left."""
        for name in list(self._scores):
            self._insert_scores(name)

    def _unseen(self, rows: pa.Table) -> pa.Table:
        """Pictures not inserted before; base pictures are shared by all adapters."""
        names = rows.column("image_sha256").to_pylist()
        fresh = [name not in self._images for name in names]
        self._images.update(names)
        return rows.filter(pa.array(fresh, type=pa.bool_()))

    def _insert_scores(self, table: str) -> None:
        parts = self._scores.pop(table)
        results = np.concatenate([part.results for part in parts])
        probes = np.concatenate([part.probes for part in parts])
        values = np.concatenate([part.values for part in parts])[:, self._order]
        concepts, count = len(self._names), len(results)
        columns: dict[str, pa.Array] = {
            "audit_id": pa.array(np.tile(results, concepts)),
            "concept": pa.DictionaryArray.from_arrays(
                pa.array(np.repeat(np.arange(concepts, dtype=np.int32), count)), self._names
            ),
        }
        for place, name in enumerate(SCORE_COLUMNS):
            columns[name] = pa.array(values[:, :, place].T.ravel(), from_pandas=True)
        columns["probes"] = pa.array(np.tile(probes, concepts))
        wanted = [column for column in self._loader.schema(table).names if column in columns]
        self._loader.insert(table, pa.table({column: columns[column] for column in wanted}))


def carry_over(loader: Loader, published: Path, places: Mapping[FileState, int], ids: Mapping[FileState, int]) -> None:
    """Copy the rows of unchanged results from the published catalog.

    Args:
        loader: Of the database being built; the rows of new results are in it already.
        published: The catalog that is being replaced.
        places: audit_id to give to each result that is carried over.
        ids: audit_id that it has in the published catalog.
    """
    connection = loader.connection
    connection.execute("CREATE TEMP TABLE carried (old_id INTEGER, place INTEGER)")
    rows = pa.table(
        {
            "old_id": pa.array([ids[file] for file in places], pa.int32()),
            "place": pa.array(list(places.values()), pa.int32()),
        }
    )
    loader.insert("carried", rows)
    quoted = str(published).replace("'", "''")
    connection.execute(f"ATTACH '{quoted}' AS published (READ_ONLY)")
    try:
        for table in (*ROW_TABLES, *SCORE_TABLES):
            if table == "images":
                source = (
                    "SELECT i.* FROM published.images i WHERE i.image_sha256 IN "
                    "(SELECT base_image FROM pairs UNION SELECT adapter_image FROM pairs) "
                    "AND i.image_sha256 NOT IN (SELECT image_sha256 FROM images)"
                )
            else:
                source = (
                    f"SELECT t.* REPLACE (c.place AS audit_id) FROM published.{table} t "
                    "JOIN carried c ON c.old_id = t.audit_id"
                )
            connection.execute(f"INSERT INTO {table} {source}")
    finally:
        connection.execute("DETACH published")
        connection.execute("DROP TABLE carried")
