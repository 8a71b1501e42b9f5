"""Words that a recipe cannot tell apart: under which name they are shown together, and which of them answer for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from auditor.records.result import ConceptScore

_LISTED = 3
Interval = tuple[float, float, float]
"""Score of a concept, and the ends of its interval."""


@dataclass(frozen=True)
class ClusterWords:
    """The clusters of two and more concepts of one catalog.

    Attributes:
        members: Recipe → concept → all members of its cluster, most often named first; no entry for one that stands
            alone.
    """

    members: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def of(self, recipe_id: object, concept: str) -> tuple[str, ...]:
        """All members of the concept's cluster, most often named first; empty when it stands alone."""
        return self.members.get(str(recipe_id), {}).get(concept, ())

    def named(self, recipe_id: object, concept: str, scores: Mapping[str, Interval]) -> tuple[str, ...]:
        """The same for one adapter, the name of its cluster first.

        That is the member that is named most often, unless this adapter's own scores tell the words apart: then it is
        the one whose interval lies above those of all others.

        Args:
            recipe_id: The adapter's recipe.
            concept: One of the members.
            scores: The adapter's scores, of these members at least.
        """
        cluster = self.of(recipe_id, concept)
        known = [name for name in cluster if name in scores]
        if not known:
            return cluster
        first = max(known, key=lambda name: scores[name][0])
        if all(scores[first][1] > scores[name][2] for name in known if name != first):
            return (first, *(name for name in cluster if name != first))
        return cluster

    def shown(self, record: tuple[str, Sequence[ConceptScore]], limit: int | None = None) -> list[ConceptScore]:
        """The scores above 0 in the order of naming, under the names of their clusters; of each cluster the first.

        Args:
            record: Recipe, and all scores of an adapter.
            limit: Most scores.
        """
        recipe_id, scores = record
        intervals = {s.concept: (s.score, s.low, s.high) for s in scores}
        found: dict[str, ConceptScore] = {}
        for score in sorted((s for s in scores if s.score > 0), key=lambda s: s.naming_key):
            name = label(score.concept, self.named(recipe_id, score.concept, intervals))
            found.setdefault(name, score.model_copy(update={"concept": name}))
        return list(found.values())[:limit]

    def recipes_of(self, concept: str) -> dict[str, list[str]]:
        """Each other concept that some recipes cannot tell apart from this one, and these recipes."""
        found: dict[str, list[str]] = {}
        for recipe_id, clusters in self.members.items():
            for member in clusters.get(concept, ()):
                if member != concept:
                    found.setdefault(member, []).append(recipe_id)
        return found

    def notes(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """What to say beside an answer to a question that wants these concepts."""
        found = {tuple(sorted((concept, *self.recipes_of(concept)))) for concept in wanted}
        return tuple(
            f"{', '.join(words[:-1])} and {words[-1]} cannot be told apart by the recipe of these scores: "
            "adapters of the others are found too, behind those of the word itself"
            for words in sorted(found)
            if len(words) > 1
        )


def label(concept: str, cluster: Sequence[str]) -> str:
    """A concept as people see it, "vibrant (or: saturated)": the first of its cluster, and some of the others."""
    if not cluster:
        return concept
    more = len(cluster) - 1 - _LISTED
    return f"{cluster[0]} (or: {', '.join(cluster[1 : 1 + _LISTED])}{f', and {more} more' if more > 0 else ''})"


def cluster_words(connection: duckdb.DuckDBPyConnection) -> ClusterWords:
    """The clusters of a catalog; none in one that was made before they were kept."""
    try:
        rows = connection.execute("SELECT recipe_id, concept, members FROM alike").fetchall()
    except duckdb.CatalogException:
        return ClusterWords()
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for recipe_id, concept, members in rows:
        found.setdefault(recipe_id, {})[concept] = tuple(members)
    return ClusterWords(found)


def measured_clusters(recipe_id: str, names: Sequence[str], leaders: Sequence[int]) -> ClusterWords:
    """The clusters of one recipe's basis, where no catalog says which words are used most.

    Args:
        recipe_id: The recipe.
        names: Concepts in lexicon order (k).
        leaders: Place of the first member of each one's cluster (k).
    """
    groups: dict[int, list[str]] = {}
    for name, leader in zip(names, leaders, strict=True):
        groups.setdefault(leader, []).append(name)
    found = {name: tuple(group) for group in groups.values() if len(group) > 1 for name in group}
    return ClusterWords({recipe_id: found})
