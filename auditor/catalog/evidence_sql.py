"""A question as SQL: which adapters answer it, how surely, and in which order.

Every wanted concept is looked for in both arms, the weights alone and the weights with the declared trigger. The arm in
the better band counts, and of two in one band the weights alone. A hit falls into one of three bands:

- surely: each wanted concept reaches a tenth of asking for it in words (or the amount asked for), and its interval
  lies above 0;
- maybe: each reaches it, but an interval does not lie above 0;
- near: only some do, or the amount does not fit.

Within a band several concepts rank by `fit`, the cosine of V with the sum of their directions (chosen on development
styles, docs/results.md; of alternatives the one that fits best), one by the lower end of its interval, and by the
same cosine where that is 0: a strong adapter lies far along everything that is somewhat like it. What is not wanted is
judged by the joint fit: it is surely not there when the fit gives it less than a tenth.

Where a recipe cannot tell a wanted concept from others, an adapter that has one of these instead is a "maybe", behind
those that answer by the word itself. Its scores, which the fit shares out among such words, do not say which one it is;
so these rank by the cosine with the wanted one. What is not wanted, amounts and comparisons go by the word itself.
Where nothing has the amount that was asked for, what surely has some of the concept comes first, the nearest to the
amount before others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditor.catalog.pointing_sql import Pointing
from auditor.catalog.questions.question import Question, Wish
from auditor.catalog.sql_texts import PRESENT, all_of, condition, geometric_mean, literal

NEAR = 0.05
_NARROW = ("adapter_id", "audit_id", "repo_id", "path", "downloads", "likes", "created_at", "size_bytes", "weights")
"""Columns of adapters that decide a place. The others are read for the rows of the answer alone."""
NEAREST = 24
"""So many neighbours are put in another order than by nearness: to be the newest of all is not to be alike."""
LEVEL = "greatest(score, projection)"
LOW, HIGH = "low", "high"
"""What is compared with `PRESENT` and with amounts, and its interval; the one place that names the columns."""
_VALUES = {"level": LEVEL, "low": LOW, "high": HIGH, "along": "projection", "joint": "score"}
Alike = Mapping[str, Mapping[str, Sequence[str]]]
"""Concept → each other one that recipes cannot tell from it → these recipes."""
BANDS = ("surely", "maybe", "near")

_ORDERS = {
    "popular": "a.downloads DESC",
    "liked": "a.likes DESC",
    "newest": "a.created_at DESC NULLS LAST",
    "oldest": "a.created_at NULLS LAST",
    "smallest": "a.size_bytes NULLS LAST",
}


def question_sql(
    question: Question,
    k: int,
    *,
    phrases: Sequence[Sequence[float]] = (),
    toward: Sequence[float] | None = None,
    alike: Alike | None = None,
) -> str:
    """The whole query.

    Args:
        question: What is asked for.
        k: Most rows.
        phrases: f(C) of each of `question.phrases`, in order.
        toward: V to be near to, for `like`; wanted concepts are in it already.
        alike: Wanted concepts that others answer for too.
    """
    return _Query(question, phrases, toward, alike or {}).sql(k)


class _Query:
    def __init__(
        self, question: Question, phrases: Sequence[Sequence[float]], toward: Sequence[float] | None, alike: Alike
    ) -> None:
        self.question, self.toward, self.alike = question, toward, alike
        self.vectors = dict(zip(question.phrases, phrases, strict=True))
        judged = [wish for wish in question.wishes if toward is None or wish.role != "wanted" or not wish.moves]
        self.wanted = [wish for wish in judged if wish.role == "wanted"]
        self.least = [wish for wish in judged if wish.role == "least"]
        self.without = [wish for wish in judged if wish.role == "without"]
        names = [name.concept for wish in judged for name in wish.names if name.concept is not None]
        self.concepts = list(dict.fromkeys([*names, *(concept for pair in question.more_than for concept in pair)]))

    def sql(self, k: int) -> str:
        only_without = bool(self.without) and not self.wanted and not self.least and self.toward is None
        away = self.least or (self.without if only_without else [])
        level, low = [self._level(wish) for wish in self.wanted], [self._low(wish) for wish in self.wanted]
        points = self._pointing()
        ranks = points is not None and len(self.wanted) > 1 and all(wish.amount is None for wish in self.wanted)
        order = ["band", *([_ORDERS[self.question.order]] if self.question.order != "best" else [])]
        order += ["(certain > 0) DESC", "miss"] if any(wish.amount is not None for wish in self.wanted) else []
        order += ["away"] if away else []
        order += ["cosine DESC"] if self.toward is not None else []
        before = [*order, *([] if ranks else ["certain DESC NULLS LAST"])]
        order += [f"{name} DESC NULLS LAST" for name in ("fit", "certain", "pointing", "strength")]
        order += ["a.downloads DESC"] if not self.concepts and not self.vectors else []
        keys = ", ".join([*order, "a.repo_id", "a.path"]).replace("a.", "")
        away_sql = " + ".join(self._along(wish) for wish in away) or "NULL"
        once = "SELECT * EXCLUDE (copy) FROM folded WHERE copy = 1"
        if self.toward is not None and self.question.order != "best":
            once += f" QUALIFY row_number() OVER (ORDER BY band, cosine DESC, repo_id, path) <= {NEAREST}"
        pointed = f"pointed AS (\n    SELECT *, NULL AS fit, NULL AS pointing FROM ({once})\n)"
        if points is not None:
            pointed = points.pointed(once, [key.replace("a.", "") for key in before], k, ranks=ranks)
        return f"""WITH evidence AS MATERIALIZED (
{self._evidence()}
){f", {points.asked}" if points else ""}, judged AS (
    SELECT {", ".join(f"a.{name}" for name in _NARROW)}, e.with_trigger,
        {self._band()} AS band, {self._miss()} AS miss,
        {away_sql} AS away,
        {geometric_mean([f"greatest({item}, 0)" for item in low])} AS certain,
        {geometric_mean([f"greatest({item}, 0)" for item in level])} AS strength,
        {self._cosine()} AS cosine{self._phrase_columns()}{f", {points.rough} AS rough" if points else ""}
    FROM adapters a
    {self._joins()}{" LEFT JOIN asked q ON q.recipe_id = u.recipe_id" if points else ""}
    WHERE {" AND ".join(self._conditions())}
), chosen AS (
    SELECT * FROM judged WHERE band IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY adapter_id ORDER BY band, with_trigger, certain DESC) = 1
), folded AS (
    SELECT *, row_number() OVER (PARTITION BY coalesce(weights, adapter_id::VARCHAR)
        ORDER BY downloads DESC, created_at, repo_id, path) AS copy
    FROM chosen
), {pointed}, best AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY {keys}) AS place, * FROM pointed
    ORDER BY {keys}
    LIMIT {k}
)
SELECT b.place, a.*, b.* EXCLUDE (place, {", ".join(_NARROW)})
FROM best b JOIN adapters a ON a.adapter_id = b.adapter_id
ORDER BY b.place;"""

    def _joins(self) -> str:
        if self.question.filters.get("outcome", "scored") not in ("scored", "scored_partial"):
            return "LEFT JOIN (SELECT NULL::BOOLEAN AS with_trigger) e ON true"
        return "JOIN audits u ON u.audit_id = a.audit_id JOIN evidence e ON e.audit_id = a.audit_id"

    def _evidence(self) -> str:
        if not self.concepts:
            return "    SELECT audit_id, false AS with_trigger FROM audits"
        widened = [c for c in self.concepts if self.alike.get(c)]
        source = self._grouped(widened) if widened or len(self.concepts) == 1 else self._joined()
        arms = (("scores", "false"), ("trigger_scores", "true"))
        return "\n    UNION ALL\n".join(
            f"    SELECT *, {with_trigger} AS with_trigger FROM {source.replace('SCORES', table)}"
            for table, with_trigger in arms
        )

    def _joined(self) -> str:
        """One row per audit. Each concept is read by itself, in less time than several are grouped."""
        values = "".join(f", {value} AS {name}_NUMBER" for name, value in _VALUES.items())
        parts = [
            f"(SELECT audit_id{values.replace('NUMBER', str(i))} FROM SCORES WHERE concept = {literal(c)})"
            for i, c in enumerate(self.concepts)
        ]
        return "\n        FULL JOIN ".join([parts[0], *(f"{part} USING (audit_id)" for part in parts[1:])])

    def _grouped(self, widened: Sequence[str]) -> str:
        """The same, and with the best of what recipes cannot tell from these concepts."""
        columns = ",\n        ".join(
            f"max({value}) FILTER (concept = {literal(c)}) AS {name}_{i}"
            for i, c in enumerate(self.concepts)
            for name, value in _VALUES.items()
        )
        columns += "".join(
            f",\n        max({LEVEL}) FILTER ({self._answers(c)}) AS wide_level_{self.concepts.index(c)}"
            for c in widened
        )
        names = list(dict.fromkeys([*self.concepts, *(other for c in widened for other in self.alike[c])]))
        recipes = " JOIN audits USING (audit_id)" if widened else ""
        return (
            f"(SELECT audit_id,\n        {columns}\n    FROM SCORES{recipes} "
            f"WHERE concept IN ({', '.join(map(literal, names))}) GROUP BY audit_id)"
        )

    def _answers(self, concept: str) -> str:
        """Condition on a score joined with its audit: of the concept, or of one that the recipe cannot tell from it."""
        others = [
            f" OR (concept = {literal(other)} AND recipe_id IN ({', '.join(map(literal, recipes))}))"
            for other, recipes in self.alike.get(concept, {}).items()
        ]
        return f"concept = {literal(concept)}{''.join(others)}"

    def _level(self, wish: Wish) -> str:
        return self._of(wish, "level")

    def _low(self, wish: Wish) -> str:
        return self._of(wish, "low")

    def _along(self, wish: Wish) -> str:
        return self._of(wish, "along")

    def _wide(self, wish: Wish) -> str:
        """The level of the strongest of the alternatives and of what their recipe cannot tell from them."""
        wide = wish.amount is None and any(self.alike.get(name.concept or "") for name in wish.names)
        return self._of(wish, "level", "wide_" if wide else "")

    def _of(self, wish: Wish, column: str, wide: str = "") -> str:
        """The column of the strongest of the alternatives; a phrase has one value, and no interval yet."""
        if wish in self.vectors:
            return "0.0" if column == "low" else self._phrase(wish)
        items = [
            f"coalesce(e.{wide if self.alike.get(n.concept) else ''}{column}_{self.concepts.index(n.concept)}, 0)"
            for n in wish.names
            if n.concept
        ]
        return items[0] if len(items) == 1 else f"greatest({', '.join(items)})"

    def _phrase(self, wish: Wish) -> str:
        vector = [round(float(value), 7) for value in self.vectors[wish]]
        square = sum(value * value for value in vector)
        return (
            f"CASE WHEN len(u.divergence) = {len(vector)} THEN "
            f"list_inner_product(u.divergence, {literal(vector)}::FLOAT[]) / {square!r} END"
        )

    def _phrase_columns(self) -> str:
        return "".join(f", {self._phrase(wish)} AS phrase_{i}" for i, wish in enumerate(self.question.phrases))

    def _bounds(self, wish: Wish) -> tuple[float, float | None]:
        if wish.amount is None:
            return PRESENT, None
        return wish.amount.least if wish.amount.least is not None else 0.0, wish.amount.most

    def _band(self) -> str:
        sure, has, some = [], [], []
        for wish in self.wanted:
            least, most = self._bounds(wish)
            level = self._level(wish)
            fits = f"{level} >= {least}" + (f" AND {level} <= {most}" if most is not None else "")
            has.append(f"{self._wide(wish)} >= {least}" if wish.amount is None else fits)
            sure.append(f"{fits} AND {self._low(wish)} > 0" if least > 0 else fits)
            some.append(f"{self._wide(wish)} >= {NEAR}")
        for first, second in self.question.more_than:
            one, two = self.concepts.index(first), self.concepts.index(second)
            has.append(f"e.level_{one} > e.level_{two}")
            sure.append(f"{has[-1]} AND e.low_{one} > e.high_{two}")
        for wish in self.least:
            has.append(f"{self._along(wish)} < {PRESENT}")
            sure.append(f"{self._along(wish)} <= -{PRESENT}")
            some.append("true")
        # by the joint fit alone: every dark adapter lies some way along blurry
        sure += [f"{self._of(wish, 'joint')} < {self._bounds(wish)[0]}" for wish in self.without]
        if not sure and not has:
            return "0"
        near = f" WHEN {' OR '.join(f'({item})' for item in some)} THEN 2" if some else ""
        return f"CASE WHEN {all_of(sure)} THEN 0 WHEN {all_of(has)} THEN 1{near} END"

    def _miss(self) -> str:
        """How far outside of the amounts asked for."""
        parts = []
        for wish in self.wanted:
            least, most = self._bounds(wish)
            if wish.amount is not None:
                level = self._level(wish)
                parts.append(f"greatest({least} - {level}, 0{'' if most is None else f', {level} - {most}'})")
        return f"round({' + '.join(parts)}, 6)" if parts else "0"

    def _pointing(self) -> Pointing | None:
        named = all(name.concept is not None for wish in self.wanted for name in wish.names)
        if not self.wanted or not named or self.question.more_than:
            return None
        return Pointing(self.wanted, self.concepts)

    def _cosine(self) -> str:
        if self.toward is None:
            return "NULL"
        vector = literal([round(float(value), 7) for value in self.toward])
        return (
            f"CASE WHEN len(u.divergence) = {len(self.toward)} "
            f"THEN list_cosine_similarity(u.divergence, {vector}::FLOAT[]) END"
        )

    def _conditions(self) -> list[str]:
        filters = self.question.filters
        outcome = filters.get("outcome")
        if outcome == "unscored":
            found = ["a.outcome NOT IN ('scored', 'scored_partial')"]
        else:
            found = [f"a.outcome = {literal(outcome)}" if outcome else "a.outcome IN ('scored', 'scored_partial')"]
        found += [condition(name, value) for name, value in filters.items() if name != "outcome"]
        for wish in self.without:
            column = self._low(wish) if wish not in self.vectors else self._level(wish)
            found.append(f"coalesce({column}, 0) < {self._bounds(wish)[0]}")
        if self.question.like is not None:
            found.append(f"lower(a.repo_id) <> {literal(self.question.like.lower())}")
            found += [f"len(u.divergence) = {len(self.toward)}"] if self.toward is not None else []
        return found
