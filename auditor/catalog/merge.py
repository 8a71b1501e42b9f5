"""Merge: result files, listing and plan become one catalog, all or nothing.

The database is built anew from the result files each time, so a merge can be repeated, killed or run on a copy
of the results, and always ends with the same content. A result file that cannot be believed is moved aside and
its unit counts as pending, which makes the next audit redo it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from auditor import __version__
from auditor.audit.result_file import CorruptResult, list_results, read_result
from auditor.catalog.loading import Loader, Row
from auditor.catalog.publishing import new_database, sole_writer
from auditor.catalog.reading import open_catalog
from auditor.catalog.result_rows import ResultRows, check_result
from auditor.catalog.units import (
    UnitKey,
    create_staging,
    repos_without_units,
    resolve_units,
    stage_repos,
    stage_units,
)
from auditor.crash import crash_point
from auditor.errors import UserError
from auditor.lexicons import Lexicon, concept_key
from auditor.probes import ProbeSet
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.outcomes import OUTCOMES, Outcome
from auditor.records.recipe import Recipe
from auditor.records.result import ANY_RECIPE, WorkItem

_BATCH_RESULTS = 200
_NOTE = ".reason.txt"


@dataclass(frozen=True, eq=False)
class BasisVectors:
    """The shared basis of one recipe as the scores used it: f(C) (k, D) by name, and the common directions (r, D)."""

    names: tuple[str, ...]
    vectors: NDArray[np.floating]
    common: NDArray[np.floating]


@dataclass(frozen=True)
class MergeReport:
    """What a merge did. `listed` is the sum of `outcomes` and `pending`.

    Attributes:
        listed: Distinct units: adapter files, and repos without any.
        outcomes: Units by outcome, all outcomes included.
        pending: Units without a result.
        audits: Result files merged.
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
    unreferenced: int
    other_recipes: int
    rejected: tuple[tuple[str, str], ...]
    unreadable: int
    listed_twice: int
    repos_without_units: int
    reconciles: bool
    seconds: float


@dataclass
class _Reading:
    """Counts while reading result files."""

    other_recipes: int = 0
    unreadable: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


def merge(
    database: Path,
    results_folder: Path,
    recipes: Sequence[Recipe],
    repos: Iterable[ListedRepo],
    items: Iterable[WorkItem],
    settled: Iterable[SettledItem],
    lexicon: Lexicon,
    basis_vectors: Mapping[str, BasisVectors] | None = None,
    *,
    probe_sets: Sequence[ProbeSet] = (),
    known_hashes: Mapping[UnitKey, str] | None = None,
    max_pairs: int = 4,
    on_result: Callable[[], None] = lambda: None,
) -> MergeReport:
    """Build the catalog and swap it in.

    Args:
        database: The catalog to make or replace.
        results_folder: Folder of result files; quarantine lies beside it.
        recipes: Recipes whose results count, the preferred first.
        repos: The listing; streamed.
        items: Units to audit.
        settled: Units whose outcome the listing told.
        lexicon: The one that the recipes name.
        basis_vectors: Shared basis by recipe id; lets search remove the common direction from free phrases.
        probe_sets: The ones that the recipes name; lets search score free phrases.
        known_hashes: Content hash by (repo, commit, path), for items that did not state one and were fetched.
        max_pairs: Most picture pairs kept per adapter.
        on_result: Called after each result file, for a progress bar.

    Raises:
        TransientError: Another merge is running.
        UserError: The lexicon is not the one of the recipes.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    for recipe in recipes:
        if recipe.lexicon_hash != lexicon.content_hash:
            raise UserError(
                f"recipe {recipe.recipe_id} used lexicon {recipe.lexicon}, not this {lexicon.identifier}; "
                "merge with the lexicon of its results, or audit again with the new one"
            )
    with sole_writer(database), new_database(database) as connection:
        crash_point("merge_begun")
        loader = Loader(connection)
        create_staging(connection)
        _load_reference(loader, recipes, lexicon, basis_vectors or {}, probe_sets)
        listed, listed_twice = stage_units(loader, items, settled, known_hashes or {})
        stage_repos(loader, repos)
        rows = ResultRows(loader, lexicon, max_pairs)
        reading = _read_results(results_folder, {r.recipe_id: r for r in recipes}, rows, on_result)
        resolve_units(connection, [(r.recipe_id, r.base_name) for r in recipes])
        without_units = repos_without_units(connection)
        for name, reason, place in _quarantined(_quarantine(results_folder)):
            loader.add("rejected_results", name, reason, place)
        counts = _counts(connection)
        report = MergeReport(
            listed=listed,
            outcomes={outcome: counts.get(outcome, 0) for outcome in OUTCOMES},
            pending=counts.get("pending", 0),
            audits=rows.audits,
            unreferenced=_one(connection, "SELECT count(*) FROM audits u ANTI JOIN adapters a USING (audit_id)"),
            other_recipes=reading.other_recipes,
            rejected=tuple(reading.rejected),
            unreadable=reading.unreadable,
            listed_twice=listed_twice,
            repos_without_units=without_units,
            reconciles=without_units == 0 and listed == sum(counts.values()) and _sound(connection, lexicon),
            seconds=time.monotonic() - clock,
        )
        for run in _earlier_runs(database):
            loader.add("runs", *run)
        loader.add("runs", *_run_row(report, started, lexicon))
        loader.flush()
    return report


def _load_reference(
    loader: Loader,
    recipes: Sequence[Recipe],
    lexicon: Lexicon,
    basis_vectors: Mapping[str, BasisVectors],
    probe_sets: Sequence[ProbeSet],
) -> None:
    """Recipes, lexicon, probes and shared bases."""
    for r in {recipe.recipe_id: recipe for recipe in recipes}.values():
        values = r.model_dump(mode="json")
        loader.add(
            "recipes",
            *(r.recipe_id, r.algorithm_version, r.base_name, r.base_repo, r.base_fingerprint, r.family),
            *(r.probe_set, r.probe_count, r.lora_scale, r.seed, r.encoder, r.concept_template),
            *(r.lexicon, r.proposer, _json(values["generation"]), _json(values["solver"]), _json(values)),
            lexicon.neutral_words,
        )
    for position, concept in enumerate(lexicon.concepts):
        loader.add("concepts", concept.name, concept.facet, position)
        for alias in dict.fromkeys((concept.name, *concept.aliases)):
            loader.add("concept_aliases", alias, concept_key(alias), concept.name)
    for probe_set in {item.name: item for item in probe_sets}.values():
        for position, prompt in enumerate(probe_set.prompts):
            loader.add("probes", probe_set.name, position, prompt)
    for recipe_id, basis in basis_vectors.items():
        for name, vector in zip(basis.names, basis.vectors, strict=True):
            loader.add("concept_vectors", recipe_id, name, np.asarray(vector, dtype=np.float32))
        for position, direction in enumerate(basis.common):
            loader.add("common_directions", recipe_id, position, np.asarray(direction, dtype=np.float32))
    loader.flush()


def _read_results(
    folder: Path,
    recipes: Mapping[str, Recipe],
    rows: ResultRows,
    on_result: Callable[[], None],
) -> _Reading:
    """Queue the rows of every result of a wanted recipe, a batch at a time."""
    reading = _Reading()
    for path in list_results(folder):
        recipe_id = path.name.split(".")[-2]
        recipe = recipes.get(recipe_id)
        if recipe is None and recipe_id != ANY_RECIPE:
            reading.other_recipes += 1
            continue
        try:
            result = read_result(path)
            check_result(path, result, recipe, rows.names)
        except CorruptResult as error:
            if isinstance(error.__cause__, OSError):
                reading.unreadable += 1
            else:
                reading.rejected.append((path.name, str(error)))
                _reject(path, _quarantine(folder), str(error))
        else:
            rows.add(result, path.relative_to(folder).as_posix())
            if rows.audits % _BATCH_RESULTS == 0:
                rows.loader.flush()
                crash_point("merge_batch_loaded")
        on_result()
    rows.loader.flush()
    crash_point("merge_loaded")
    return reading


def _quarantine(results_folder: Path) -> Path:
    return results_folder.with_name(f"{results_folder.name}-quarantine")


def _reject(path: Path, quarantine: Path, reason: str) -> None:
    """Move a result file aside with a note. The note comes first, so that no file lies there unexplained."""
    quarantine.mkdir(parents=True, exist_ok=True)
    target = quarantine / f"{secrets.token_hex(4)}.{path.name}"
    target.with_name(target.name + _NOTE).write_text(reason + "\n", encoding="utf-8", errors="replace")
    with suppress(FileNotFoundError):  # a worker has just replaced it, or the user removed it
        os.replace(path, target)


def _quarantined(quarantine: Path) -> list[tuple[str, str, str]]:
    """Name, reason and place of everything in quarantine."""
    notes = sorted(quarantine.glob(f"*{_NOTE}"))
    return [
        (
            note.name.removesuffix(_NOTE).partition(".")[2],
            note.read_text(encoding="utf-8", errors="replace").strip(),
            str(note.with_name(note.name.removesuffix(_NOTE))),
        )
        for note in notes
    ]


def _counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(connection.execute("SELECT outcome, count(*) FROM adapters GROUP BY outcome").fetchall())


def _sound(connection: duckdb.DuckDBPyConnection, lexicon: Lexicon) -> bool:
    """Whether every measured audit has one score per concept, and every reference leads somewhere."""
    odd = _one(
        connection,
        "SELECT count(*) FROM (SELECT u.audit_id FROM audits u LEFT JOIN scores s ON s.audit_id = u.audit_id "
        "WHERE u.outcome IN ('scored', 'scored_partial') GROUP BY u.audit_id "
        "HAVING count(s.concept) <> ? OR count(DISTINCT s.concept) <> ?)",
        len(lexicon.concepts),
        len(lexicon.concepts),
    )
    dangling = _one(
        connection,
        "SELECT count(*) FROM adapters a ANTI JOIN audits u ON u.audit_id = a.audit_id WHERE a.audit_id IS NOT NULL",
    )
    return odd == 0 and dangling == 0


def _one(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> int:
    row = connection.execute(sql, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def _earlier_runs(database: Path) -> list[Row]:
    """Run rows of the catalog that is being replaced; none when it cannot be read any more."""
    columns = "run_id, started_at, finished_at, package_version, lexicon, lexicon_hash, listed, pending, scored, "
    columns += "scored_partial, no_effect, skipped, quarantined, gone, failed, audits, rejected_results"
    try:
        with closing(open_catalog(database)) as old:
            return list(old.execute(f"SELECT {columns} FROM runs ORDER BY started_at").fetchall())
    except (UserError, duckdb.Error):
        return []


def _run_row(report: MergeReport, started: datetime, lexicon: Lexicon) -> Row:
    naive = started.replace(tzinfo=None)
    return (
        f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        *(naive, datetime.now(UTC).replace(tzinfo=None), __version__),
        *(lexicon.identifier, lexicon.content_hash, report.listed, report.pending),
        *(report.outcomes[outcome] for outcome in OUTCOMES),
        *(report.audits, len(report.rejected)),
    )


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
