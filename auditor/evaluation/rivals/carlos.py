"""CARLoS (CVPR 2026): find adapters by a text, from the mean difference that each makes to the base's pictures.

Direction is the mean of the differences of features, strength their mean length, consistency their mean cosine with
each other. A query is added to every prompt; the mean change of the text features is compared with each adapter's
direction by the cosine. It names nothing: it answers a question that is put to it.

The original drops adapters above a strength of 9.8 and below a consistency of 0.041. These limits are in units of
another encoder's features without normalisation and do not carry over, so none are dropped here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auditor.encoding.encoder import Encoder
from auditor.evaluation.encoder_geometry import text_side
from auditor.evaluation.rivals.rival import Evidence, Telling
from auditor.finexl.arrays import unit
from auditor.lexicons.loader import Lexicon


class Carlos:
    """Cosines of one adapter's direction with every lexicon name as a query."""

    name = "CARLoS-style"
    replaced = "features: of length 1, from the recipe's encoder; pictures: the budget's, in place of 4,480; no limits"

    def explain(self, evidence: Evidence) -> Telling:
        """Ask for every name of the lexicon alone."""
        names = evidence.lexicon.names
        asked = [(name,) for name in names]
        queries = unit(query_directions(evidence.encoder, evidence.lexicon, evidence.prompts, asked))
        cosines = queries @ unit((evidence.shown_features - evidence.base_features).mean(axis=0))
        return Telling("", {"cosine": dict(zip(names, map(float, cosines), strict=True))})


def query_directions(
    encoder: Encoder, lexicon: Lexicon, prompts: Sequence[str], queries: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """Mean change of the prompts' features (k, D) when the words of each query are added, one after the other."""
    worded = []
    for words in queries:
        texts = list(prompts)
        for word in words:
            texts = [lexicon.phrase(text, word) for text in texts]
        worded.append(texts)
    return text_side(encoder, prompts, worded)


def strength(differences: NDArray[np.float64]) -> float:
    """Mean length of the differences (n, D)."""
    return float(np.linalg.norm(differences, axis=1).mean())


def consistency(differences: NDArray[np.float64]) -> float:
    """Mean cosine of the differences (n, D) with each other; 0 for fewer than two."""
    pointing, n = unit(differences), len(differences)
    return float(((pointing @ pointing.T).sum() - (pointing**2).sum()) / (n * (n - 1))) if n > 1 else 0.0
