"""Parquet tables: typed and commented as in the catalog, zstd, sorted by base, then repo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

_ROW_GROUP = 122_880
_PICTURE_ROW_GROUP = 100
"""Viewers load a row group at a time; a hundred small pictures are half a megabyte."""
_BATCH_ROWS = 122_880


@dataclass(frozen=True)
class ExportTable:
    """One table of an export.

    Attributes:
        name: Of the subset and of its folder under data/.
        sql: Its rows, in order.
        source: Table or view that its columns are described in.
        about: One sentence.
        row_group: Rows of a row group.
        pictures: Columns that hold encoded pictures.
    """

    name: str
    sql: str
    source: str
    about: str
    row_group: int = _ROW_GROUP
    pictures: tuple[str, ...] = ()


_OF_AUDIT = "u.file_sha256, u.recipe_id, u.base_name AS base"
_BY_AUDIT = "ORDER BY u.base_name NULLS LAST, u.first_repo_id, u.file_sha256, u.recipe_id"

TABLES: tuple[ExportTable, ...] = (
    ExportTable(
        "cards", "SELECT * EXCLUDE (adapter_id, audit_id) FROM lora_card "
        "ORDER BY base NULLS LAST, repo_id, path NULLS FIRST, commit_sha",
        "lora_card", "One row per listed adapter: what it does, on which base, under which licence.",
    ),
    ExportTable(
        "scores", f"SELECT {_OF_AUDIT}, s.* EXCLUDE (audit_id) FROM scores s JOIN audits u USING (audit_id) "
        f"{_BY_AUDIT}, s.concept",
        "scores", "Score and interval of every concept for every scored file and recipe.",
    ),
    ExportTable(
        # `datasets` knows no map type: entries are a list of key and value.
        "audits", "SELECT * EXCLUDE (audit_id, result_file) REPLACE (map_entries(timings_s) AS timings_s, "
        "map_entries(versions) AS versions) FROM audits u " + _BY_AUDIT,
        "audits", "One row per audited file and recipe, with the mean image difference V.",
    ),
    ExportTable(
        "explanations", f"SELECT {_OF_AUDIT}, e.* EXCLUDE (audit_id) FROM explanations e "
        f"JOIN audits u USING (audit_id) {_BY_AUDIT}, e.variant DESC, e.position",
        "explanations", "Each file in its own concepts; not comparable between files.",
    ),
    ExportTable(
        "phrases", f"SELECT {_OF_AUDIT}, p.* EXCLUDE (audit_id) FROM phrases p JOIN audits u USING (audit_id) "
        f"{_BY_AUDIT}, p.support DESC, p.phrase",
        "phrases", "What the vision-language model said about the image pairs.",
    ),
    ExportTable(
        "triggers", f"SELECT {_OF_AUDIT}, t.* EXCLUDE (audit_id) FROM trigger_effects t "
        f"JOIN audits u USING (audit_id) {_BY_AUDIT}",
        "trigger_effects", "What declared trigger words do, apart from the weights.",
    ),
    ExportTable(
        "subjects", f"SELECT {_OF_AUDIT}, s.* EXCLUDE (audit_id) FROM subject_effects s "
        f"JOIN audits u USING (audit_id) {_BY_AUDIT}",
        "subject_effects", "Adapters for one subject: their word, its class, and how much of it leaks into the class.",
    ),
    ExportTable(
        "trigger_scores", f"SELECT {_OF_AUDIT}, t.* EXCLUDE (audit_id) FROM trigger_scores t "
        f"JOIN audits u USING (audit_id) {_BY_AUDIT}, t.concept",
        "trigger_scores", "Scores with the declared trigger in front of every prompt.",
    ),
    ExportTable("files", "SELECT * FROM files ORDER BY file_sha256", "files", "Distinct files by content."),
    ExportTable("concepts", "SELECT * FROM concepts ORDER BY position", "concepts", "The lexicon."),
    ExportTable("concept_aliases", "SELECT * FROM concept_aliases ORDER BY concept, alias", "concept_aliases",
                "Other names of the concepts."),
    ExportTable("cluster_names", "SELECT * FROM cluster_names ORDER BY recipe_id, name", "cluster_names",
                "Concepts that a recipe cannot tell apart, by the word that is named most."),
    ExportTable("recipes", "SELECT * FROM recipes ORDER BY recipe_id", "recipes",
                "Everything that can change a score; scores compare within one recipe."),
    ExportTable("probes", "SELECT * FROM probes ORDER BY probe_set, position", "probes",
                "The prompts that every adapter was asked."),
    ExportTable("failures", "SELECT * EXCLUDE (audit_id) FROM failures ORDER BY outcome, reason, repo_id, path",
                "failures", "Listed units without a measurement, and why."),
    ExportTable(
        "samples", f"SELECT {_OF_AUDIT}, p.probe, p.prompt, "
        "struct_pack(bytes := b.picture, path := NULL::VARCHAR) AS base_image, "
        "struct_pack(bytes := a.picture, path := NULL::VARCHAR) AS adapter_image "
        "FROM pairs p JOIN audits u USING (audit_id) JOIN images b ON b.image_sha256 = p.base_image "
        "JOIN images a ON a.image_sha256 = p.adapter_image "
        # Of listed repos only: nobody knows any more what one that has gone, or changed its file, was tagged.
        "WHERE u.audit_id IN (SELECT audit_id FROM adapters WHERE NOT nsfw) "
        "AND u.audit_id NOT IN (SELECT audit_id FROM adapters WHERE nsfw AND audit_id IS NOT NULL) "
        f"{_BY_AUDIT}, p.probe",
        "pairs", "Small pictures of base and adapter, same prompt and noise; none of repos tagged for adults.",
        _PICTURE_ROW_GROUP, ("base_image", "adapter_image"),
    ),
)  # fmt: skip


def write_tables(connection: duckdb.DuckDBPyConnection, folder: Path, schema_version: str) -> dict[str, int]:
    """Write data/NAME/NAME.parquet for every table and return the rows of each."""
    rows = {}
    for table in TABLES:
        path = folder / "data" / table.name / f"{table.name}.parquet"
        path.parent.mkdir(parents=True)
        rows[table.name] = _write(connection, table, path, schema_version)
    return rows


def count_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows that each table would have."""
    found = {}
    for table in TABLES:
        unordered = table.sql.rpartition(" ORDER BY ")[0]
        found[table.name] = int(connection.execute(f"SELECT count(*) FROM ({unordered})").fetchall()[0][0])
    return found


def columns_of(connection: duckdb.DuckDBPyConnection, table: ExportTable) -> list[tuple[str, str, str]]:
    """Name, type and meaning of each column."""
    comments = dict(
        connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'audits' AND NOT internal "
            "UNION ALL BY NAME SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? "
            "AND NOT internal",
            [table.source],
        ).fetchall()
    )
    comments |= {"base": "Base model it was applied to"} if "base" not in comments else {}
    described = connection.execute(f"DESCRIBE {table.sql}").fetchall()
    return [(str(row[0]), str(row[1]), comments.get(row[0]) or "") for row in described]


def _write(connection: duckdb.DuckDBPyConnection, table: ExportTable, path: Path, schema_version: str) -> int:
    meanings = {name: meaning for name, _, meaning in columns_of(connection, table)}
    reader: pa.RecordBatchReader = connection.sql(table.sql).to_arrow_reader(min(_BATCH_ROWS, table.row_group))
    fields = [f.with_metadata({"description": meanings.get(f.name, "")}) for f in reader.schema]
    metadata = {"auditor.table": table.name, "auditor.schema_version": schema_version}
    if table.pictures:
        # Without it `datasets` and the Hub's viewer show a struct of bytes; the other columns they read themselves.
        features = {name: {"_type": "Image"} for name in table.pictures}
        metadata["huggingface"] = json.dumps({"info": {"features": features}})
    schema = pa.schema(fields, metadata=metadata)
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(reader, table.row_group):
            writer.write_table(group.cast(schema), row_group_size=table.row_group)
            rows += group.num_rows
    return rows


def _groups(reader: pa.RecordBatchReader, size: int) -> Iterator[pa.Table]:
    """Tables of `size` rows, the last one smaller."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in reader:
        held.append(batch)
        count += batch.num_rows
        while count >= size:
            whole = pa.Table.from_batches(held)
            yield whole.slice(0, size)
            held, count = whole.slice(size).to_batches(), count - size
    if count:
        yield pa.Table.from_batches(held)
