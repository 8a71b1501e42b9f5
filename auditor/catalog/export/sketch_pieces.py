"""V in a few numbers each, so that the site answers `like OWNER/NAME but more …` over all adapters without any V.

The numbers are coordinates of V / |V| along the directions in which the adapters of one encoder differ most. Where an
encoder has no more dimensions than `KEPT`, or the catalog no more adapters, nothing is lost; elsewhere `shares` says
how much of the squares is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from auditor.catalog.export.neighbour_pieces import unit_vectors

KEPT = 64
"""Numbers per adapter: 14 MB of script for 80,000."""
UNIT = 1 / 32767


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is kept of every V.

    Attributes:
        values: Coordinates of V / |V| in multiples of `UNIT` (n, KEPT); 0 where there is no V.
        kinds: Of every audit (n,), the number of its kind, that is of its encoder; -1 where there is no V.
        turns: By kind, what takes a vector of the encoder's space (D,) to its coordinates (D, KEPT).
        sizes: By kind, dimensions D.
        shares: By kind, the share of the squares of V / |V| that is kept, 0 to 1.
        encoders: Encoder → kind.
    """

    values: NDArray[np.int16]
    kinds: NDArray[np.int8]
    turns: tuple[NDArray[np.float64], ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]
    encoders: dict[str, int]

    def of_concepts(self, encoder: str, vectors: NDArray[np.float64]) -> NDArray[np.float32]:
        """Coordinates (k, KEPT) of f of some concepts (k, D); zeros for an encoder without adapters."""
        kind = self.encoders.get(encoder)
        if kind is None or vectors.shape[1] != self.sizes[kind]:
            return np.zeros((len(vectors), KEPT), np.float32)
        return (vectors @ self.turns[kind]).astype(np.float32)


def sketch(connection: duckdb.DuckDBPyConnection, audits: Sequence[int]) -> Sketch:
    """Sketch every V.

    Args:
        connection: Of the catalog.
        audits: audit_ids by their number on the site.
    """
    values = np.zeros((len(audits), KEPT), np.int16)
    kinds = np.full(len(audits), -1, np.int8)
    turns: list[NDArray[np.float64]] = []
    shares: list[float] = []
    encoders: dict[str, int] = {}
    for encoder, mine, vectors in unit_vectors(connection, audits):
        spread = (vectors.T @ vectors).astype(np.float64)
        amounts, directions = np.linalg.eigh(spread)
        turn = np.zeros((len(spread), KEPT))
        some = directions[:, ::-1][:, :KEPT]
        turn[:, : some.shape[1]] = some
        coordinates = vectors @ turn.astype(np.float32)
        values[mine] = np.clip(np.rint(coordinates / UNIT), -32767, 32767)
        kinds[mine] = len(turns)
        encoders[encoder] = len(turns)
        shares.append(float(amounts[::-1][:KEPT].sum() / max(amounts.sum(), np.finfo(float).tiny)))
        turns.append(turn)
    return Sketch(values, kinds, tuple(turns), tuple(len(turn) for turn in turns), tuple(shares), encoders)


def write_sketch(made: Sketch, write: Callable[[str, object], None]) -> None:
    """Write the piece `sketch`."""
    packed = base64.b64encode(made.values.astype("<i2").tobytes()).decode("ascii")
    write(
        "sketch",
        {
            "kept": KEPT,
            "unit": UNIT,
            "values": packed,
            "kinds": made.kinds.tolist(),
            "sizes": made.sizes,
            "shares": [round(share, 4) for share in made.shares],
        },
    )
