"""VisDiff (Dunlap et al., CVPR 2024): propose phrases truer of one set of pictures than of another, then rank them.

As in its application to two generators, the proposer sees both models' pictures of the same prompts. The ranker takes
the cosine of every picture with every phrase; a phrase's score is the area under the ROC curve (AUROC) with the
adapter's pictures positive and the base's negative. The difference of the two means is kept beside it: AUROC is 1 as
soon as a style is plain to see, and then tells no levels apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from auditor.evaluation.rivals.rival import Evidence, Telling, by_aspect, lines
from auditor.finexl.attribution import average_ranks

SHOWN = 5
"""Best phrases that are told, as in the original."""


class VisDiff:
    """Phrases of the vision-language model, ranked by the encoder."""

    name = "VisDiff-style"
    replaced = (
        "proposer: the vision-language model names differences from pictures, in place of captions that a language "
        "model compares; encoder: the recipe's, in place of ViT-bigG/14"
    )

    def explain(self, evidence: Evidence) -> Telling:
        """Propose within the budget, rank by AUROC, tell the five best."""
        phrases = evidence.phrases
        if not phrases:
            nothing = by_aspect(evidence.lexicon, {})
            return Telling("", {"AUROC": nothing, "mean gap": nothing})
        texts = np.asarray(evidence.encoder.encode_texts(phrases), dtype=np.float64)
        with_it, without = evidence.shown_features @ texts.T, evidence.base_features @ texts.T
        area = dict(zip(phrases, (auroc(a, b) for a, b in zip(with_it.T, without.T, strict=True)), strict=True))
        gap = dict(zip(phrases, map(float, with_it.mean(0) - without.mean(0)), strict=True))
        best = sorted(phrases, key=lambda p: (-area[p], -gap[p]))[:SHOWN]
        return Telling(
            lines(best), {"AUROC": by_aspect(evidence.lexicon, area), "mean gap": by_aspect(evidence.lexicon, gap)}
        )


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Share of pairs (one of each) in which the positive is larger; a tie counts half."""
    ranks = average_ranks(np.concatenate([positive, negative]))
    won = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(won / (len(positive) * len(negative)))
