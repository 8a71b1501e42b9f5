"""At which strength to use an adapter for something, from its dose: what was measured, not what it should be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_REACHED = 0.1
_OF_BEST_SHARE = 0.8


Scored = tuple[str, float, float]
"""Concept, score and the lower end of its interval."""


@dataclass(frozen=True)
class Strength:
    """From where the concept is there, to where the rest of the change outgrows it. Both are measured strengths."""

    low: float
    high: float


def strength_for(concepts: Sequence[str], dose: Sequence[Mapping[str, object]]) -> Strength | None:
    """The range of strengths for some concepts; None when the dose does not hold them or never reaches them.

    A strength counts while the concepts make up at least eight tenths of the share of the change that they make up at
    best: beyond it something else is growing, which is how pictures break. Broken pictures themselves are not measured.

    Args:
        concepts: Canonical names; all must be there.
        dose: Rows with scale, norm and projections, of one audit.
    """
    points = []
    for row in dose:
        projections, norm = row["projections"], row["norm"]
        if not isinstance(projections, Mapping) or not isinstance(norm, float) or not norm:
            continue
        values = [projections.get(concept) for concept in concepts]
        found = [value for value in values if isinstance(value, float)]
        if found and len(found) == len(values):
            points.append((float(str(row["scale"])), min(found), min(found) / norm))
    reached = [point for point in points if point[1] >= _REACHED and point[0] > 0]
    if not reached:
        return None
    best = max(share for _, _, share in reached)
    good = [scale for scale, _, share in reached if share >= _OF_BEST_SHARE * best]
    return Strength(min(good), max(good))


def measured_with_word(plain: Iterable[float], worded: Iterable[float]) -> bool:
    """Whether the dose is that of pictures with the trigger: they alone show something.

    Args:
        plain: Lower ends of the scores of the weights alone.
        worded: The same with the trigger.
    """
    return not any(low > 0 for low in plain) and any(low > 0 for low in worded)


def best_strength(
    plain: Sequence[Scored], worded: Sequence[Scored], dose: Sequence[Mapping[str, object]]
) -> tuple[str, Strength] | None:
    """The strongest concept that is surely there and that the dose reaches, and its strengths.

    Args:
        plain: Scores of the weights alone.
        worded: Scores with the trigger.
        dose: Rows with scale, norm and projections, of one audit.
    """
    with_word = measured_with_word((low for _, _, low in plain), (low for _, _, low in worded))
    for concept, _, low in sorted(worded if with_word else plain, key=lambda row: -row[1]):
        found = strength_for([concept], dose) if low > 0 else None
        if found is not None:
            return concept, found
    return None
