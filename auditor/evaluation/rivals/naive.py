"""Naive: ask the vision-language model for aspects of the difference with a score each (paper, section 5).

Scores of one aspect are added over all questions and divided by their number, so that an aspect that was not named
counts as 0 there: dividing by mentions alone would put what was seen once above what was always seen.
"""

from __future__ import annotations

from collections import defaultdict

from auditor.evaluation.rivals.rival import Evidence, Telling, by_aspect, lines


class Naive:
    """Each question's phrases, the first worth 1, the second 1/2, the third 1/3."""

    name = "Naive-style"
    replaced = "scores: the place of a phrase in the reply, whose order is from the strongest, in place of a number"

    def explain(self, evidence: Evidence) -> Telling:
        """Ask every question of the budget and average."""
        total: dict[str, float] = defaultdict(float)
        for question in range(evidence.budget.calls):
            seen: set[str] = set()
            for place, phrase in enumerate(evidence.asker.says(question)):
                name = evidence.lexicon.canonical(phrase) or phrase
                if name not in seen:
                    total[name] += 1 / (place + 1)
                seen.add(name)
        scores = {name: total[name] / evidence.budget.calls for name in sorted(total, key=lambda n: (-total[n], n))}
        text = lines(list(scores), {name: f": {score:.2f}" for name, score in scores.items()})
        return Telling(text, {"score": by_aspect(evidence.lexicon, scores)})
