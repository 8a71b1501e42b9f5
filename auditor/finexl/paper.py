"""Algorithm 1 exactly as published: greedy acceptance by a signed redundancy sum, least-squares refits.

Kept beside the default variant so that every published figure can be measured against the published
method, including its known weak points: the first candidate is always kept, opposite cosines cancel in
the redundancy sum (Eq. 9), and neighbouring concepts can take large weights of opposite sign (Eq. 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from auditor.finexl.arrays import TINY, FloatArray, as_array, as_vectors, cosines

StopReason = Literal["residual_reached", "candidates_exhausted", "no_effect"]


@dataclass(frozen=True)
class PaperStep:
    """One candidate's turn.

    Attributes:
        name: The concept.
        orthogonality: Signed sum of cosines with the concepts kept so far (Eq. 9).
        accepted: Whether it was kept.
        relative_residual: |V - sum w_i f(C_i)| / |V| after the refit, None when rejected.
    """

    name: str
    orthogonality: float
    accepted: bool
    relative_residual: float | None


@dataclass(frozen=True)
class PaperExplanation:
    """Result of Algorithm 1.

    Attributes:
        names: Kept concepts in order of acceptance.
        weights: Their least-squares weights from the last refit (Eq. 10).
        relative_residual: Left-over length of V as a share of |V| (Eq. 11); 1 when nothing was kept and 0
            for V = 0.
        stop_reason: Why the loop ended.
        trace: Every candidate that was looked at.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    relative_residual: float
    stop_reason: StopReason
    trace: tuple[PaperStep, ...]


def explain_paper(
    target: ArrayLike,
    names: Sequence[str],
    vectors: ArrayLike,
    *,
    e_ortho: float = 0.5,
    e_decomp: float = 0.2,
) -> PaperExplanation:
    """Run Algorithm 1 on the candidates in the order given.

    Args:
        target: V (D,).
        names: Candidate concepts in the proposer's order (k).
        vectors: Their f(C) (k, D), averaged like V.
        e_ortho: Accept a candidate when its signed cosine sum is below this. The paper gives no value.
        e_decomp: Stop when the relative residual is below this (0.2, App. B).
    """
    divergence = as_array(target, "V", 1)
    candidates = as_vectors(vectors, "concept vectors", len(divergence))
    if len(names) != len(candidates):
        raise ValueError(f"{len(names)} names for {len(candidates)} concept vectors")
    length = float(np.linalg.norm(divergence))
    if length <= TINY:
        # The relative residual of Eq. 11 is undefined here, and nothing is there to explain.
        return PaperExplanation((), (), 0.0, "no_effect", ())
    kept: list[int] = []
    weights = np.zeros(0)
    residual = 1.0
    trace: list[PaperStep] = []
    for index, name in enumerate(names):
        orthogonality = float(cosines(candidates[index], candidates[kept]).sum()) if kept else 0.0
        if orthogonality >= e_ortho:
            trace.append(PaperStep(name, orthogonality, False, None))
            continue
        kept.append(index)
        weights, residual = _refit(divergence, candidates[kept], length)
        trace.append(PaperStep(name, orthogonality, True, residual))
        if residual < e_decomp:
            break
    reason: StopReason = "residual_reached" if residual < e_decomp else "candidates_exhausted"
    return PaperExplanation(
        tuple(names[i] for i in kept), tuple(float(w) for w in weights), residual, reason, tuple(trace)
    )


def _refit(target: FloatArray, kept: FloatArray, length: float) -> tuple[FloatArray, float]:
    weights = np.asarray(np.linalg.lstsq(kept.T, target, rcond=None)[0])
    return weights, float(np.linalg.norm(target - weights @ kept)) / length
