"""Merge: result files, listing and plan become one catalog, all or nothing.

The result files are the truth. The database is built anew beside the published one each time, so a merge can be
repeated, killed or run on a copy of the results, and always ends with the same content. Rows of result files that
have not changed since the last merge are carried over from the published catalog instead of being read again; that
changes the time it takes and nothing else. A result file that cannot be believed is moved aside and its unit counts
as pending, which makes the next audit redo it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from auditor.catalog.accounts import MergeReport, Reading, account, record_run
from auditor.catalog.bulk_insert import Loader
from auditor.catalog.filling import Filler, carry_over
from auditor.catalog.migrations import same_schema
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.quarantine import quarantine_folder, set_aside
from auditor.catalog.reading import open_catalog
from auditor.catalog.reference_rows import BasisVectors, load_reference
from auditor.catalog.result_reading import ReadingRules, find_results, read_block, read_blocks, recipe_of
from auditor.catalog.result_rows import ROW_TABLES, ROWS_VERSION, FileState
from auditor.catalog.unit_outcomes import UnitKey, create_staging, stage_repos, stage_units
from auditor.common.crash_points import crash_point
from auditor.errors import UserError
from auditor.lexicons import Lexicon
from auditor.probes import ProbeSet
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.recipe import Recipe
from auditor.records.result import ANY_RECIPE, WorkItem

DEFAULT_PAIRS = 2
"""Picture pairs kept per adapter, unless told otherwise."""


@dataclass(frozen=True)
class MergeInput:
    """What a catalog is made from, besides the result files.

    Attributes:
        results_folder: Folder of result files; quarantine lies beside it.
        recipes: Recipes whose results count, the preferred first.
        lexicon: The one that the recipes name.
        repos: Makes the listing; may be called again.
        items: Units to audit.
        settled: Units whose outcome the listing told.
        basis_vectors: Shared basis by recipe id; lets search remove the common direction from free phrases.
        probe_sets: The ones that the recipes name; lets search score free phrases.
        known_hashes: Content hash by (repo, commit, path), for items that did not state one and were fetched.
        max_pairs: Most picture pairs kept per adapter.
    """

    results_folder: Path
    recipes: Sequence[Recipe]
    lexicon: Lexicon
    repos: Callable[[], Iterable[ListedRepo]]
    items: Sequence[WorkItem]
    settled: Sequence[SettledItem]
    basis_vectors: Mapping[str, BasisVectors] = field(default_factory=dict)
    probe_sets: Sequence[ProbeSet] = ()
    known_hashes: Mapping[UnitKey, str] = field(default_factory=dict)
    max_pairs: int = DEFAULT_PAIRS

    @property
    def row_format(self) -> str:
        """Hash of all that decides how one result becomes rows; rows of another format are not carried over."""
        parts = (ROWS_VERSION, self.lexicon.content_hash, self.max_pairs)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


_COMMIT_RESULTS = 2_000
"""Results per transaction while reading."""


class _StartAgain(Exception):
    """Places were given to results that turned out bad, or the published catalog cannot be carried over."""


def merge(
    database: Path,
    made_from: MergeInput,
    *,
    rebuild: bool = False,
    readers: int | None = None,
    on_results: Callable[[int], None] = lambda count: None,
) -> MergeReport:
    """Build the catalog and swap it in.

    Args:
        database: The catalog to make or replace.
        made_from: Listing, plan, recipes and the folder of results.
        rebuild: Read every result file, also those that have not changed since the last merge.
        readers: Processes that read; None to choose by the number of files.
        on_results: Told how many more result files are done, for a progress bar.

    Raises:
        TransientError: Another merge is running.
        UserError: The lexicon is not the one of the recipes.
    """
    for recipe in made_from.recipes:
        if recipe.lexicon_hash != made_from.lexicon.content_hash:
            raise UserError(
                f"recipe {recipe.recipe_id} used lexicon {recipe.lexicon}, not this {made_from.lexicon.identifier}; "
                "merge with the lexicon of its results, or audit again with the new one"
            )
    started, clock = datetime.now(UTC), time.monotonic()
    state = Reading(rebuild)
    with sole_writer(database):
        while True:
            try:
                with new_database(database) as connection:
                    crash_point("merge_begun")
                    loader = Loader(connection)
                    listed = _stage(loader, made_from)
                    _fill(loader, database, made_from, state, readers, on_results)
                    report = account(
                        loader,
                        made_from.recipes,
                        made_from.lexicon,
                        quarantine_folder(made_from.results_folder),
                        state,
                        listed,
                        clock,
                    )
                    record_run(loader, database, made_from.lexicon, made_from.row_format, report, started)
                return report
            except _StartAgain:
                continue


def _stage(loader: Loader, made_from: MergeInput) -> tuple[int, int]:
    """Stage listing and plan; first, since a listing that cannot be read is noticed in seconds here.

    Returns:
        Distinct units, and how often one was listed again.
    """
    create_staging(loader.connection)
    listed = stage_units(loader, made_from.items, made_from.settled, made_from.known_hashes)
    stage_repos(loader, made_from.repos())
    return listed


def _fill(
    loader: Loader,
    database: Path,
    made_from: MergeInput,
    state: Reading,
    readers: int | None,
    on_results: Callable[[int], None],
) -> None:
    """Everything that does not depend on which unit a result belongs to."""
    load_reference(loader, made_from.recipes, made_from.lexicon, made_from.basis_vectors, made_from.probe_sets)
    files = _wanted_files(made_from, state)
    published = {} if state.rebuild else _published_files(database, made_from.row_format)
    unchanged = [file for file in files if file in published]
    fresh = [file for file in files if file not in published]
    state.carried = len(unchanged)
    on_results(len(unchanged))
    places = {file: place for place, file in enumerate(files)}
    _read_fresh(loader, made_from, state, fresh, places if unchanged else None, readers, on_results)
    if unchanged:
        try:
            carry_over(loader, database, {file: places[file] for file in unchanged}, published)
        except duckdb.Error as error:
            state.rebuild = True
            raise _StartAgain from error
    loader.connection.execute("INSERT INTO alike SELECT recipe_id, unnest(members), name, members FROM cluster_names")
    crash_point("merge_loaded")


def _wanted_files(made_from: MergeInput, state: Reading) -> list[FileState]:
    known = {ANY_RECIPE, *(recipe.recipe_id for recipe in made_from.recipes)}
    found = find_results(made_from.results_folder)
    files = [file for file in found if recipe_of(file.name) in known]
    state.other_recipes = len(found) - len(files)
    return [file for file in files if file.name not in state.unreadable]


def _read_fresh(
    loader: Loader,
    made_from: MergeInput,
    state: Reading,
    files: Sequence[FileState],
    places: Mapping[FileState, int] | None,
    readers: int | None,
    on_results: Callable[[int], None],
) -> None:
    """Read files and insert their rows, under the places given or else one after the other."""
    schemas = {table: loader.schema(table) for table in ROW_TABLES}
    recipes = {recipe.recipe_id: recipe for recipe in made_from.recipes}
    rules = ReadingRules(made_from.results_folder, recipes, made_from.lexicon, schemas, made_from.max_pairs)
    filler = Filler(loader, made_from.lexicon.names)
    state.read = 0
    bad = False
    # Large transactions: full row groups go straight into the file, and little is logged besides. One for all would
    # keep gigabytes in memory, beyond the database's own limit.
    loader.connection.execute("BEGIN")
    for block in read_blocks(files, rules, readers):
        bad |= block.files > len(block.accepted)
        for name, reason in block.rejected:
            _reject(name, reason, rules, state)
        state.unreadable.update(block.unreadable)
        numbers = range(state.read, state.read + len(block.accepted))
        own = numbers if places is None else [places[file] for file in block.accepted]
        filler.add(block, np.array(own, dtype=np.int32))
        state.read += len(block.accepted)
        if state.read // _COMMIT_RESULTS > (state.read - len(block.accepted)) // _COMMIT_RESULTS:
            loader.connection.execute("COMMIT")
            loader.connection.execute("BEGIN")
        crash_point("merge_batch_loaded")
        on_results(block.files)
    filler.finish()
    loader.connection.execute("COMMIT")
    if bad and places is not None:
        raise _StartAgain


def _reject(name: str, reason: str, rules: ReadingRules, state: Reading) -> None:
    """Set a file aside, unless a worker has replaced it by a good one meanwhile."""
    if read_block([FileState(name, 0, 0)], rules).rejected:
        state.rejected.append((Path(name).name, reason))
        set_aside(rules.folder / name, quarantine_folder(rules.folder), reason)


def _published_files(database: Path, row_format: str) -> dict[FileState, int]:
    """audit_id of every result file in the published catalog; none when its rows cannot be carried over."""
    try:
        with closing(open_catalog(database)) as old:
            if old.execute("SELECT arg_max(row_format, started_at) FROM runs").fetchall() != [(row_format,)]:
                return {}
            if not same_schema(old):
                return {}
            rows = old.execute("SELECT result_file, size_bytes, mtime_ns, audit_id FROM result_files").fetchall()
            return {FileState(*row[:3]): row[3] for row in rows}
    except (UserError, duckdb.Error):
        return {}
