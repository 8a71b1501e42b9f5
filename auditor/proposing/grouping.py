"""Splitting an adapter's pairs into requests, and joining the answers.

A few pairs per request let the model see what they have in common; several requests show how reliably a
phrase comes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from auditor.records.proposals import ProposedPhrase

PAIRS_PER_GROUP = 3


def split_pairs(count: int, per_group: int = PAIRS_PER_GROUP) -> tuple[range, ...]:
    """Cut `count` pairs into runs of `per_group`; a short rest becomes a last, smaller group."""
    if count < 1 or per_group < 1:
        raise ValueError(f"need at least one pair and one pair per group, got {count} and {per_group}")
    return tuple(range(start, min(start + per_group, count)) for start in range(0, count, per_group))


def join_groups(answers: Sequence[Sequence[str]]) -> tuple[ProposedPhrase, ...]:
    """Unite the groups' phrases.

    Args:
        answers: One list of distinct phrases per answered group, strongest first; an empty list is an
            answer too.

    Returns:
        Phrases by falling support, then rank, then text. Support is the share of groups naming the phrase.
    """
    ranks: dict[str, list[int]] = defaultdict(list)
    for phrases in answers:
        for rank, phrase in enumerate(phrases):
            ranks[phrase].append(rank)
    joined = [ProposedPhrase(text, len(r) / len(answers), sum(r) / len(r)) for text, r in ranks.items()]
    return tuple(sorted(joined, key=lambda p: (-p.support, p.rank, p.text)))
