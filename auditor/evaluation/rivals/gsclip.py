"""GSCLIP (Zhu, Liang and Zou, DataPerf 2022): explain the shift between two sets of pictures by a sentence.

Two generators are pooled: rules fill templates from a bank of words, and a language model adds sentences. The selector
takes a sentence and its negation, the difference of their embeddings as a direction, the projections of both sets on
it, and a two-sample t-test: is the adapter's set farther along? It ranks by t, since p-values of clear shifts all
round to 0. As the pictures here come in pairs on the same noise, the paired t is kept beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from auditor.evaluation.rivals.rival import Evidence, Telling, lines

TEMPLATES = (("a {} picture", "a not {} picture"), ("a photo in {} style", "a photo not in {} style"))
"""A sentence and its negation. The published templates were not to be had; these are ours."""

LEVEL = 0.05
"""Of the one-sided test that a sentence must pass to be told."""

SHOWN = 5


class GSCLIP:
    """Sentences from the lexicon's names and the vision-language model's phrases, ranked by t."""

    name = "GSCLIP-style"
    replaced = "language model: the vision-language model's phrases in place of GPT-2's sentences; templates: ours"

    def explain(self, evidence: Evidence) -> Telling:
        """Test every sentence; an aspect's number is the largest t of its sentences, one below 0 included."""
        lexicon = evidence.lexicon
        words = tuple(dict.fromkeys([*lexicon.names, *evidence.phrases]))
        said = [positive.format(word) for word in words for positive, _ in TEMPLATES]
        denied = [negative.format(word) for word in words for _, negative in TEMPLATES]
        welch, paired, p = self._tests(evidence, said, denied)
        numbers = {"t": dict.fromkeys(lexicon.names, 0.0), "paired t": dict.fromkeys(lexicon.names, 0.0)}
        for name, values in (("t", welch), ("paired t", paired)):
            best = values.reshape(len(words), len(TEMPLATES)).max(axis=1)
            seen: dict[str, float] = {}
            for word, value in zip(words, best, strict=True):
                concept = lexicon.canonical(word)
                if concept is not None:
                    seen[concept] = max(seen.get(concept, -np.inf), float(value))
            numbers[name] |= seen
        order = [i for i in np.argsort(-welch, kind="stable") if p[i] < LEVEL][:SHOWN]
        return Telling(lines([said[i] for i in order]), numbers)

    def _tests(
        self, evidence: Evidence, said: Sequence[str], denied: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Welch's t, the paired t and the one-sided p of the former, of each sentence (k,); 0, 0 and 1 without change.

        Equal projections have no variance, and t of nothing is 0.
        """
        texts = np.asarray(evidence.encoder.encode_texts([*said, *denied]), dtype=np.float64)
        directions = (texts[: len(said)] - texts[len(said) :]).T
        with_it, without = evidence.shown_features @ directions, evidence.base_features @ directions
        still = np.ptp(with_it - without, axis=0) < 1e-9
        with np.errstate(divide="ignore", invalid="ignore"):
            welch = stats.ttest_ind(with_it, without, equal_var=False, alternative="greater")
            paired = stats.ttest_rel(with_it, without, alternative="greater")
        return (
            np.where(still, 0.0, np.nan_to_num(welch.statistic)),
            np.where(still, 0.0, np.nan_to_num(paired.statistic)),
            np.where(still, 1.0, np.nan_to_num(welch.pvalue, nan=1.0)),
        )
