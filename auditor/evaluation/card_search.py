"""Search of model cards by their words (BM25): what a catalog without audits can offer."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import bm25s

from auditor.evaluation.planted_questions import PlantedQuestion

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it tells of every index


class CardSearch:
    """An index of cards. Ties keep the order of repo names, which says nothing."""

    def __init__(self, cards: Mapping[str, str]) -> None:
        """Index the text of every repo."""
        self.repos = sorted(cards)
        self.index = bm25s.BM25()
        tokens = bm25s.tokenize([cards[repo] for repo in self.repos], stopwords="en", show_progress=False)
        self.index.index(tokens, show_progress=False)

    def ranked(self, question: PlantedQuestion) -> list[str]:
        """Repos that pass the filters and hold a wanted word, by BM25."""
        tokens = bm25s.tokenize(question.words, stopwords="en", return_ids=False, show_progress=False)[0]
        known = [token for token in tokens if token in self.index.vocab_dict]
        scores = self.index.get_scores(known) if known else [0.0] * len(self.repos)
        found = [(-float(score), repo) for repo, score in zip(self.repos, scores, strict=True) if score > 0]
        return [repo for _, repo in sorted(found) if repo in question.among]
