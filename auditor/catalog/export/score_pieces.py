"""Scores of the exported site as 16-bit numbers: one piece per concept for questions, one per few adapters for pages.

With a lexicon of a thousand concepts nearly every adapter has some of nearly every one, so columns are dense: place i
of a column belongs to audit i of the site. Numbers are multiples of `Scores.unit`, little-endian, in base64.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from auditor.catalog.export.neighbour_pieces import Neighbours

Write = Callable[[str, object], None]
"""Name of a piece, its value."""
Grid = NDArray[np.int16]
Floats = NDArray[np.float32]
Turned = Callable[[str, NDArray[np.float64]], Floats]

AUDITS = 32
"""Audits per piece of pages; gallery.js has the same number."""
_TABLES = ("scores", "trigger_scores")
_ARMS = ("plain", "worded")
_COLUMNS = ("score", "low", "high", "projection")
_KEPT = 3
_TOGETHER = 32
_LARGEST = 16.0
_MOST = 32767


@dataclass(frozen=True, eq=False)
class Scores:
    """What the site's pieces number.

    Attributes:
        audits: Audits of the site (n,), by their numbers there.
        worded: Numbers of those that were asked with their trigger too (m,).
        names: The k concepts, by their numbers.
        unit: What 1 stands for.
        plain: Score, low and high of every audit and concept (n, k, 3).
        with_trigger: The same with the trigger (m, k, 3).
    """

    audits: NDArray[np.int64]
    worded: NDArray[np.int64]
    names: tuple[str, ...]
    unit: float
    plain: Grid
    with_trigger: Grid

    def strongest(self, number: int, most: int) -> list[list[str | float]]:
        """Concepts of an audit whose interval lies above 0: name, score, low, high; strongest first."""
        return self._strongest(self.plain[number], most)

    def strongest_with_trigger(self, number: int, most: int) -> list[list[str | float]]:
        """The same with the trigger; nothing when it has none."""
        place = int(np.searchsorted(self.worded, number))
        if place == len(self.worded) or self.worded[place] != number:
            return []
        return self._strongest(self.with_trigger[place], most)

    def _strongest(self, values: Grid, most: int) -> list[list[str | float]]:
        sure = np.flatnonzero(values[:, 1] > 0)
        best = sure[np.argsort(-values[sure, 0], kind="stable")[:most]]
        return [[self.names[i], *(round(float(v) * self.unit, 3) for v in values[i])] for i in best]


def write_concepts(
    connection: duckdb.DuckDBPyConnection,
    audits: Sequence[int],
    names: Sequence[str],
    folder: Path,
    write: Write,
    turned: Turned | None = None,
) -> Scores:
    """Write `concepts/N`, and keep the scores for the pages.

    Args:
        connection: Of the catalog.
        audits: audit_ids by their number on the site.
        names: Concepts by their number on the site.
        folder: Where the scores may lie on disk until the export ends; 6 bytes per audit and concept.
        write: Writes a piece.
        turned: Coordinates of f in the sketches of V, by encoder; without it none are written.
    """
    ids = np.asarray(audits, dtype=np.int64)
    numbers = np.full(int(ids.max(initial=0)) + 1, -1, dtype=np.int64)
    numbers[ids] = np.arange(len(ids))
    found = connection.execute("SELECT DISTINCT audit_id FROM trigger_scores").fetchnumpy()["audit_id"]
    worded = np.sort(_numbered(numbers, found)[1])
    places = np.full(len(ids), -1, dtype=np.int64)
    places[worded] = np.arange(len(worded))
    (largest,) = connection.execute(
        "SELECT max(greatest(high, abs(projection))) FROM (SELECT high, projection FROM scores "
        "UNION ALL SELECT high, projection FROM trigger_scores)"
    ).fetchall()[0]
    unit = min(max(float(largest or 0.0), 1.0), _LARGEST) / _MOST
    grids = [_grid(folder, len(rows), len(names)) for rows in (ids, worded)]
    scores = Scores(ids, worded, tuple(names), unit, *grids)
    gram, sketched = _of_directions(connection, names, turned)
    for start in range(0, len(names), _TOGETHER):
        some = names[start : start + _TOGETHER]
        blocks = [np.zeros((len(some), len(_COLUMNS), len(rows)), np.int16) for rows in (ids, worded)]
        for place, name in enumerate(some):
            for table, block in zip(_TABLES, blocks, strict=True):
                rows, columns = _column(connection, table, name, numbers, unit)
                block[place][:, rows if table == "scores" else places[rows]] = columns
            inner = {recipe: _packed(values[start + place]) for recipe, values in gram.items()}
            arms = {arm: _packed(block[place]) for arm, block in zip(_ARMS, blocks, strict=True)}
            coordinates = {recipe: _packed(values[start + place]) for recipe, values in sketched.items()}
            write(f"concepts/{start + place}", {**arms, "inner": inner, "sketch": coordinates})
        for grid, block in zip(grids, blocks, strict=True):
            grid[:, start : start + len(some)] = block[:, :_KEPT].transpose(2, 0, 1)
    return scores


def write_pages(scores: Scores, near: Neighbours, write: Write) -> None:
    """Write `scores/N`: score, low and high of every concept for a few audits each, and their neighbours."""
    place = 0
    for start in range(0, len(scores.audits), AUDITS):
        stop = start + AUDITS
        worded = {}
        while place < len(scores.worded) and scores.worded[place] < stop:
            worded[int(scores.worded[place])] = _packed(scores.with_trigger[place])
            place += 1
        plain = [_packed(values) for values in scores.plain[start:stop]]
        nearest = [near.of(number) for number in range(start, min(stop, len(scores.audits)))]
        write(f"scores/{start // AUDITS}", {"plain": plain, "worded": worded, "near": nearest})


def directions(connection: duckdb.DuckDBPyConnection, audits: Sequence[int]) -> tuple[str, list[str | None]]:
    """|V| of every audit, packed, and the recipe of each."""
    rows = dict(
        (audit, (norm, recipe))
        for audit, norm, recipe in connection.execute(
            "SELECT audit_id, sqrt(list_inner_product(divergence, divergence)), recipe_id FROM audits"
        ).fetchall()
    )
    norms = np.asarray([rows[audit][0] or 0.0 for audit in audits], dtype="<f4")
    return _packed(norms), [rows[audit][1] for audit in audits]


def _numbered(numbers: NDArray[np.int64], audits: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Which of some audit_ids are on the site, and their numbers there."""
    known = np.flatnonzero(audits < len(numbers))
    found = numbers[audits[known]]
    return known[found >= 0], found[found >= 0]


def _column(
    connection: duckdb.DuckDBPyConnection, table: str, name: str, numbers: NDArray[np.int64], unit: float
) -> tuple[NDArray[np.int64], Grid]:
    """Numbers of the audits that were scored for a concept (m,), and their values (4, m)."""
    sql = f"SELECT audit_id, {', '.join(_COLUMNS)} FROM {table} WHERE concept = ?"
    found = connection.execute(sql, [name]).fetchnumpy()
    known, rows = _numbered(numbers, np.asarray(found["audit_id"], dtype=np.int64))
    values = np.stack([np.asarray(found[column], dtype=np.float64)[known] for column in _COLUMNS])
    whole = np.clip(np.rint(values / unit), -_MOST, _MOST)
    # What lies above 0 stays above 0: that is what "surely" means.
    return rows, np.where((values > 0) & (whole == 0), 1, whole).astype(np.int16)


def _of_directions(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], turned: Turned | None
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """f · f' of all concepts (k, k) by recipe, 0 where a recipe lacks one, and the coordinates of f (k, m)."""
    place = {name: number for number, name in enumerate(names)}
    found: dict[str, Floats] = {}
    coordinates: dict[str, Floats] = {}
    recipes = connection.execute(
        "SELECT recipe_id, encoder FROM recipes WHERE recipe_id IN (SELECT recipe_id FROM concept_vectors)"
    ).fetchall()
    for recipe, encoder in recipes:
        rows = connection.execute(
            "SELECT concept, vector FROM concept_vectors WHERE recipe_id = ?", [recipe]
        ).fetchall()
        vectors = np.zeros((len(names), len(rows[0][1])))
        for name, vector in rows:
            if name in place:
                vectors[place[name]] = vector
        found[recipe] = (vectors @ vectors.T).astype("<f4")
        if turned is not None:
            coordinates[recipe] = turned(str(encoder), vectors)
    return found, coordinates


def _grid(folder: Path, rows: int, concepts: int) -> Grid:
    """Zeros (rows, concepts, 3), on disk: 80,000 adapters and a thousand concepts take half a gigabyte."""
    shape = (rows, concepts, _KEPT)
    if 0 in shape:
        return np.zeros(shape, np.int16)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.int16, mode="w+", shape=shape)


def _packed(values: NDArray[np.generic]) -> str:
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")
