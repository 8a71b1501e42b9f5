"""One export: everything that was asked for, in a folder that is swapped in whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import duckdb

from auditor.catalog.export.dataset_card import DatasetCardFacts, dataset_card
from auditor.catalog.export.flat import write_csv, write_jsonl
from auditor.catalog.export.folders import check_replaceable, new_folder, write_checksums, write_marker
from auditor.catalog.export.gallery_data import ROWS
from auditor.catalog.export.sidecars import Annotated, annotate_folder, count_sidecars, write_sidecars
from auditor.catalog.export.site import write_site
from auditor.catalog.export.tables import TABLES, columns_of, count_rows, write_tables
from auditor.catalog.reading import check_schema, damaged, is_damage, open_catalog, reading_catalog
from auditor.errors import UserError

ExportFormat = Literal["tables", "jsonl", "csv", "sidecars", "site"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
DEFAULT_PAGES = 5_000
_TITLE = "What text-to-image adapters do"
_MEMORY_LIMIT = "1GB"


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, or would write.

    Attributes:
        folder: Where it is.
        rows: Rows by product: tables by name, `catalog.csv`, `catalog.jsonl`, sidecars, pages, index rows.
        files: Files in it; 0 for a dry run.
        bytes: Their size together; 0 for a dry run.
        pages_without_result: Pages left out since their result files are not at hand.
    """

    folder: Path
    rows: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    pages_without_result: int = 0


def export(
    database: Path,
    target: Path,
    results_folder: Path,
    formats: Sequence[ExportFormat] = FORMATS,
    *,
    max_pages: int = DEFAULT_PAGES,
    dry_run: bool = False,
    on_step: Callable[[str], None] = lambda what: None,
) -> ExportReport:
    """Write the catalog's files and swap them in.

    Args:
        database: A published catalog.
        target: Folder to make or replace.
        results_folder: Result files, for the pages.
        formats: What to write.
        max_pages: Most pages of single adapters.
        dry_run: Only count.
        on_step: Told what is being written.

    Raises:
        UserError: `target` holds something that is not an export, or an earlier version made the catalog.
    """
    check_replaceable(target)
    with reading_catalog(database) as connection:
        check_schema(connection, database)
    if dry_run:
        return ExportReport(target, planned_rows(database, formats, max_pages))
    with new_folder(target) as folder:
        with _reading(database, folder) as connection:
            facts = _facts(connection)
            rows, missing = _write_products(connection, folder, facts, formats, results_folder, max_pages, on_step)
        on_step("checksums")
        write_marker(
            folder,
            {
                "made_by": f"auditor {facts.package_version}",
                "schema": facts.schema_version,
                "made_at": facts.made_at,
                "formats": list(formats),
                "rows": rows,
            },
        )
        files = write_checksums(folder) + 1
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return ExportReport(target, rows, files, size, missing)


def _write_products(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    facts: DatasetCardFacts,
    formats: Sequence[ExportFormat],
    results_folder: Path,
    max_pages: int,
    on_step: Callable[[str], None],
) -> tuple[dict[str, int], int]:
    """Write each wanted product; rows by product, and pages whose result file is not there."""
    rows: dict[str, int] = {}
    missing = 0
    if "tables" in formats:
        on_step("tables")
        rows |= write_tables(connection, folder, facts.schema_version)
    if "jsonl" in formats:
        on_step("catalog.jsonl")
        rows["catalog.jsonl"] = write_jsonl(connection, folder / "catalog.jsonl")
    if "csv" in formats:
        on_step("catalog.csv")
        rows["catalog.csv"] = write_csv(connection, folder / "catalog.csv")
    if "sidecars" in formats:
        on_step("sidecars")
        rows["sidecars"] = write_sidecars(connection, folder)
    if "site" in formats:
        on_step("pages")
        site = write_site(connection, folder, results_folder, max_pages, _TITLE)
        rows["index.html"], rows["pages"], missing = site.listed, site.pages, site.without_result
    if "tables" in formats:
        described = [(table, rows[table.name], columns_of(connection, table)) for table in TABLES]
        (folder / "README.md").write_text(dataset_card(facts, described), encoding="utf-8")
    return rows, missing


def planned_rows(database: Path, formats: Sequence[ExportFormat], max_pages: int) -> dict[str, int]:
    """Rows by product, without writing anything."""
    with reading_catalog(database) as connection:
        listed, shown = connection.execute(
            f"SELECT (SELECT count(*) FROM adapters), (SELECT count(*) FROM ({ROWS}) WHERE result_file IS NOT NULL)"
        ).fetchall()[0]
        rows = count_rows(connection) if "tables" in formats else {}
        rows |= {f"catalog.{name}": listed for name in ("jsonl", "csv") if name in formats}
        rows |= {"sidecars": count_sidecars(connection)} if "sidecars" in formats else {}
        return rows | ({"index.html": listed, "pages": min(shown, max_pages)} if "site" in formats else {})


def annotate(database: Path, folder: Path) -> Annotated:
    """Write sidecars beside the weight files of a local folder.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")
    with reading_catalog(database) as connection:
        return annotate_folder(connection, folder)


@contextmanager
def _reading(database: Path, folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A reader that may spill large sorts to disk, which `open_catalog` forbids. Only our own SQL runs in it."""
    open_catalog(database).close()  # says what is wrong when it is no catalog
    spill = folder.with_name(f"{folder.name}.spill.tmp")
    connection = duckdb.connect(
        str(database),
        read_only=True,
        config={
            "memory_limit": _MEMORY_LIMIT,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    try:
        yield connection
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) or not is_damage(error):  # IO: the export's own disk, mostly
            raise
        raise damaged(database, error) from error
    finally:
        connection.close()


def _facts(connection: duckdb.DuckDBPyConnection) -> DatasetCardFacts:
    lexicon, version, made_at, listed = connection.execute(
        "SELECT lexicon, package_version, finished_at, listed FROM runs ORDER BY started_at DESC LIMIT 1"
    ).fetchall()[0]
    outcomes = connection.execute("SELECT outcome, count(*) FROM adapters GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
    bases = connection.execute(
        "SELECT DISTINCT base_name FROM audits WHERE base_name IS NOT NULL ORDER BY 1"
    ).fetchall()
    (number,) = connection.execute("SELECT max(number) FROM schema_migrations").fetchall()[0]
    return DatasetCardFacts(
        listed,
        dict(outcomes),
        [row[0] for row in bases if row[0] is not None],
        lexicon,
        version,
        f"{made_at:%Y-%m-%d %H:%M}",
        str(number),
    )
