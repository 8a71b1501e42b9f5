"""Nearest neighbours of each adapter by the cosine of V, so that the site answers `like OWNER/NAME` without any V."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from auditor.catalog.evidence_sql import NEAREST

_BLOCK = 256
_SAMPLE = 4096


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Numbers of the nearest audits (n, m), -1 where there are fewer, and their cosines (n, m); nearest first."""

    numbers: NDArray[np.int32]
    cosines: NDArray[np.float32]

    def of(self, number: int) -> list[list[float]]:
        """Pairs of number and cosine of one audit."""
        pairs = zip(self.numbers[number].tolist(), self.cosines[number].tolist(), strict=True)
        return [[other, round(cosine, 4)] for other, cosine in pairs if other >= 0]


def neighbours(connection: duckdb.DuckDBPyConnection, audits: Sequence[int], most: int = NEAREST) -> Neighbours:
    """Compare every V with every other of the same encoder.

    Args:
        connection: Of the catalog.
        audits: audit_ids by their number on the site.
        most: Neighbours to keep.
    """
    found = Neighbours(np.full((len(audits), most), -1, np.int32), np.zeros((len(audits), most), np.float32))
    for _, mine, vectors in unit_vectors(connection, audits):
        _compare(vectors, mine, found)
    return found


def unit_vectors(
    connection: duckdb.DuckDBPyConnection, audits: Sequence[int]
) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.float32]]]:
    """V / |V| of each encoder's audits: the encoder, their numbers on the site (n,), the vectors (n, D).

    Args:
        connection: Of the catalog.
        audits: audit_ids by their number on the site.
    """
    numbers = {audit: number for number, audit in enumerate(audits)}
    kinds = connection.execute(
        "SELECT DISTINCT r.encoder, len(u.divergence) FROM audits u JOIN recipes r USING (recipe_id) "
        "WHERE u.divergence IS NOT NULL ORDER BY ALL"
    ).fetchall()
    for encoder, size in kinds:
        table: pa.Table = connection.sql(
            "SELECT u.audit_id, u.divergence FROM audits u JOIN recipes r USING (recipe_id) "
            "WHERE r.encoder = ? AND len(u.divergence) = ? AND u.audit_id IN (SELECT unnest(?::INTEGER[]))",
            params=[encoder, size, list(audits)],
        ).to_arrow_table()
        mine = np.asarray([numbers[audit] for audit in table.column("audit_id").to_pylist()], dtype=np.int32)
        flat = np.array(table.column("divergence").combine_chunks().flatten(), dtype=np.float32)
        del table  # as large as the vectors
        vectors = flat.reshape(len(mine), size)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        yield str(encoder), mine, vectors


def _compare(vectors: NDArray[np.float32], mine: NDArray[np.int32], found: Neighbours) -> None:
    """Fill the rows of one encoder's audits, whose vectors have length 1."""
    most = min(found.numbers.shape[1], len(mine) - 1)
    if most < 1:
        return
    sample = np.random.default_rng(0).permutation(len(mine))[: max(_SAMPLE, most + 1)]
    for start in range(0, len(mine), _BLOCK):
        rows = mine[start : start + _BLOCK]
        cosines = vectors[start : start + _BLOCK] @ vectors.T
        cosines[np.arange(len(rows)), np.arange(start, start + len(rows))] = -np.inf
        # The nearest of a sample are no nearer than the nearest of all, so only what reaches them can be among those.
        least = np.partition(cosines[:, sample], -most, axis=1)[:, -most]
        for row, floor in enumerate(least):
            near = np.flatnonzero(cosines[row] >= floor)
            values = cosines[row, near]
            best = np.argsort(-values, kind="stable")[:most]
            found.numbers[rows[row], :most] = mine[near[best]]
            found.cosines[rows[row], :most] = values[best]
