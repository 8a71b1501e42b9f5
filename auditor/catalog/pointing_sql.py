"""The cosine of V with the sum of the wanted directions as SQL: exactly from V, and all but exactly without it.

Reading V of every adapter that has some of the concepts would take most of the time of a question. The weight of a
concept alone, which is stored, is <V, f> / |f|²: so the cosine with a sum of directions follows from stored numbers
but for their rounding. V is read of those adapters whose place that leaves open.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from auditor.catalog.questions.question import Wish
from auditor.catalog.sql_texts import literal

LEFT_OPEN = 1e-3
"""Cosines closer than this are compared by V: a hundred times what rounding does to one made of stored numbers."""
_TWO_DIRECTIONS = ('"basis":"stacked"', '"basis":"either"')
"""Ways of making the basis that give a concept two directions: its weight is then not that on the stored one."""


class Pointing:
    """Where V points, for wishes that are concepts.

    Args:
        wanted: Wishes with a concept for each of their names.
        concepts: All concepts of the question; evidence of number i is in columns that end in _i.
    """

    def __init__(self, wanted: Sequence[Wish], concepts: Sequence[str]) -> None:
        self._number = {concept: number for number, concept in enumerate(concepts)}
        self._choices = list(product(*([str(name.concept) for name in wish.names] for wish in wanted)))
        self._named = list(dict.fromkeys(concept for choice in self._choices for concept in choice))

    exact = (
        "CASE WHEN NOT e.with_trigger AND len(u.divergence) = len(q.vectors[1]) "
        "THEN list_max([list_cosine_similarity(u.divergence, x) FOR x IN q.vectors]) END"
    )
    """Of evidence e, its audit u and `asked` q. It knows nothing of strength."""

    @property
    def rough(self) -> str:
        """The same from stored numbers; -2 where there is none, NULL where only V tells."""
        along = {concept: f"e.along_{self._number[concept]}" for concept in self._named}
        cosines = [
            f"({' + '.join(f'{along[c]} * q.square_{self._number[c]}' for c in choice)}) / q.length_{place}"
            for place, choice in enumerate(self._choices)
        ]
        # The largest of a number and NULL would be the number.
        known = " + ".join([*along.values(), *(f"q.square_{self._number[c]}" for c in self._named)])
        return (
            f"CASE WHEN e.with_trigger THEN -2 WHEN {known} IS NOT NULL "
            f"THEN greatest({', '.join(cosines)}) / nullif(u.effect_norm, 0) END"
        )

    @property
    def asked(self) -> str:
        """Tables: per recipe the sum of the directions of every choice among alternatives, lengths, squares."""
        number = self._number
        sums = ", ".join(f"{self._sum(choice)} AS sum_{n}" for n, choice in enumerate(self._choices))
        squares = ", ".join(
            f"CASE WHEN NOT twofold THEN list_inner_product(d_{number[c]}, d_{number[c]}) END AS square_{number[c]}"
            for c in self._named
        )
        lengths = ", ".join(
            f"sqrt(list_inner_product(sum_{n}, sum_{n})) AS length_{n}" for n in range(len(self._choices))
        )
        directions = ", ".join(
            f"any_value(vector) FILTER (concept = {literal(c)}) AS d_{number[c]}" for c in self._named
        )
        modes = " OR ".join(f"contains(solver, {literal(mode)})" for mode in _TWO_DIRECTIONS)
        vectors = ", ".join(f"sum_{n}" for n in range(len(self._choices)))
        return f"""named AS (
    SELECT recipe_id, {directions},
        recipe_id IN (SELECT recipe_id FROM recipes WHERE {modes}) AS twofold
    FROM concept_vectors WHERE concept IN ({", ".join(map(literal, self._named))}) GROUP BY recipe_id
), asked AS MATERIALIZED (
    SELECT recipe_id, [{vectors}] AS vectors, {lengths}, {squares} FROM (SELECT *, {sums} FROM named)
)"""

    def _sum(self, choice: Sequence[str]) -> str:
        """Of directions; one alone is itself."""
        columns = [f"d_{self._number[concept]}" for concept in choice]
        if len(columns) == 1:
            return columns[0]
        terms = " + ".join(f"x[{place}]::DOUBLE" for place in range(1, len(columns) + 1))
        return f"list_transform(list_zip({', '.join(columns)}), lambda x: ({terms})::FLOAT)"

    def pointed(self, once: str, before: Sequence[str], k: int, *, ranks: bool) -> str:
        """Tables: rows that may be among the first k, with the exact cosine.

        Args:
            once: Query of all rows.
            before: What ranks before the cosine.
            k: Rows of the answer.
            ranks: The cosine is the fit that ranks; else it decides where all else is equal.
        """
        keys = ", ".join(before)
        same = ", ".join(key.removesuffix(" NULLS LAST").removesuffix(" DESC") for key in before)
        return f"""tied AS (
    SELECT *, row_number() OVER (ORDER BY {keys}, rough DESC NULLS LAST) AS nearness
    FROM ({once} QUALIFY rank() OVER (ORDER BY {keys}) <= {k})
), open AS MATERIALIZED (
    SELECT * EXCLUDE (rough, nearness) FROM tied
    QUALIFY nearness <= {k} OR rough IS NULL
        OR rough >= min(rough) FILTER (nearness <= {k}) OVER (PARTITION BY {same}) - {LEFT_OPEN}
), pointed AS (
    SELECT e.*, {self.exact if ranks else "NULL"} AS fit, {self.exact} AS pointing
    FROM open e
    LEFT JOIN audits u ON u.audit_id = e.audit_id
    LEFT JOIN asked q ON q.recipe_id = u.recipe_id
)"""
