"""How often does search answer a planted question, and how often do two other ways of searching the same catalog?

Asked of the catalog that `auditor nightly` built over the pocket zoo. The rivals know only words to look for, so what
is wanted is handed to them in plain words, and the filters are applied for them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from huggingface_hub import ModelCard

from auditor.catalog.phrases import phrase_directions, text_sides
from auditor.catalog.reading import reading_catalog
from auditor.catalog.search import search
from auditor.common.package_paths import package_path
from auditor.encoding.encoder import Encoder
from auditor.errors import PrerequisiteMissing, UserError
from auditor.evaluation.card_search import CardSearch
from auditor.evaluation.planted_questions import Planted, PlantedQuestion, planted_questions
from auditor.evaluation.top_concept import share
from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.attribution import bootstrap_mean
from auditor.pocket.styles import STYLES
from auditor.results.result_file import read_result

Ranked = Callable[[PlantedQuestion], Sequence[str]]
"""A question → repos, the best first."""

OURS = "auditor search"
WITH_CARDS = "words of cards, if every fifth said what it does"
_FIRST = 5
_DEEP = 200
"""Hits asked for: all, so that those whose content is not known can be passed over."""


@dataclass(frozen=True)
class QuestionsRow:
    """One way of searching over the questions of one kind.

    Attributes:
        kind: Of the questions.
        system: The way of searching.
        questions: How many.
        first: Share whose first answer is right; `low` and `high` as by `_interval`.
        among_five: Share with a right answer among the first five.
        chance: Of the first answer, in any order.
        behind: By how much of the questions search is right first more often, with the ends of a 95 % interval of this
            difference, question by question; None for search itself.
    """

    kind: str
    system: str
    questions: int
    first: float
    low: float
    high: float
    among_five: float
    chance: float
    behind: tuple[float, float, float] | None


@dataclass(frozen=True)
class QuestionQuality:
    """The table, and the questions whose first answer of search was wrong: kind, question, answer, right ones."""

    rows: tuple[QuestionsRow, ...]
    missed: tuple[tuple[str, str, str, str], ...]
    adapters: int


def evaluate_questions(
    database: Path, results: Path, encoder: Callable[[], Encoder], *, held_out: bool | None = None
) -> QuestionQuality:
    """Ask every planted question, of search and of its rivals.

    Args:
        database: The zoo's catalog.
        results: Its result files, for the differences drawn with a trigger.
        encoder: Loads the text encoder, for the rival that compares directions.
        held_out: Only questions that name none but held-out styles; False: that name none. All of them by default.

    Raises:
        PrerequisiteMissing: There is no catalog of the zoo.
    """
    adapters = zoo(database)
    questions = list(planted_questions(adapters))
    if held_out is not None:
        questions = [question for question in questions if set(map(_held_out, question.concepts)) == {held_out}]
    with reading_catalog(database) as connection:
        planted = _by_weights(connection, adapters)
        directions = _Directions(connection, results, adapters, encoder())
    cards = {adapter.repo_id: _card(adapter.repo_id) for adapter in adapters}
    systems: dict[str, Ranked] = {
        OURS: lambda question: _found(database, question, planted),
        "directions alone (CARLoS-style)": directions.ranked,
        "words of cards": CardSearch(cards).ranked,
        WITH_CARDS: CardSearch(_telling(cards, adapters)).ranked,
    }
    rows: list[QuestionsRow] = []
    missed: list[tuple[str, str, str, str]] = []
    ours: list[bool] | None = None
    for system, ranked in systems.items():
        answers = [list(dict.fromkeys(ranked(question))) for question in questions]
        rows += _rows(system, questions, answers, ours)
        if system == OURS:
            ours = [_right_first(question, answer) for question, answer in zip(questions, answers, strict=True)]
            missed = [
                (question.kind, question.text, next(iter(answer), "nothing"), ", ".join(sorted(question.right)))
                for question, answer in zip(questions, answers, strict=True)
                if not _right_first(question, answer)
            ]
    order = {kind: place for place, kind in enumerate(dict.fromkeys(row.kind for row in rows))}
    rows.sort(key=lambda row: order[row.kind])
    return QuestionQuality(tuple(rows), tuple(missed), len(adapters))


def zoo(database: Path) -> list[Planted]:
    """What each adapter of the zoo was taught, with its card's licence and its downloads.

    Raises:
        PrerequisiteMissing: There is no catalog, or no list of what the zoo was trained on.
    """
    answers_path = package_path("pocket/zoo_answers.json")
    if not database.exists() or not answers_path.exists():
        raise PrerequisiteMissing(f"the pocket zoo's catalog is needed in {database}; run: auditor nightly")
    found = []
    for repo_id, answer in json.loads(answers_path.read_text("utf-8")).items():
        taught = {*answer.get("styles", ()), *([answer["edit"]] if "edit" in answer else ())}
        folder = package_path("pocket/zoo") / repo_id
        counts = json.loads((folder / ".hub.json").read_text("utf-8"))
        license_ = str(ModelCard.load(folder / "README.md").data.to_dict().get("license"))
        found.append(Planted(repo_id, frozenset(taught), license_, int(counts["downloads"])))
    return found


def _by_weights(connection: duckdb.DuckDBPyConnection, adapters: Sequence[Planted]) -> dict[str, str]:
    """Any repo with the weights of a planted adapter → that adapter's repo: search shows one of all copies."""
    names = [adapter.repo_id for adapter in adapters]
    rows = connection.execute(
        "SELECT b.repo_id, min(a.repo_id) FROM adapters a JOIN adapters b USING (weights) "
        "WHERE a.repo_id IN (SELECT unnest(?)) GROUP BY ALL",
        [names],
    ).fetchall()
    return {str(copy): str(repo) for copy, repo in rows} | {name: name for name in names}


def _found(database: Path, question: PlantedQuestion, planted: Mapping[str, str]) -> list[str]:
    """Planted repos in the order of the hits; none where the question is refused."""
    try:
        hits = search(database, question.text, _DEEP).hits
    except UserError:
        return []
    return [planted[hit.repo_id] for hit in hits if hit.repo_id in planted]


_Case = tuple[PlantedQuestion, bool, bool, bool | None]
"""A question, whether its first answer is right, one of the first five, and the first of search."""


def _right_first(question: PlantedQuestion, answer: Sequence[str]) -> bool:
    return bool(answer) and answer[0] in question.right


def _rows(
    system: str,
    questions: Sequence[PlantedQuestion],
    answers: Sequence[Sequence[str]],
    ours: Sequence[bool] | None,
) -> list[QuestionsRow]:
    judged: dict[str, list[_Case]] = defaultdict(list)
    for number, (question, ranked) in enumerate(zip(questions, answers, strict=True)):
        among_five = bool(question.right & set(ranked[:_FIRST]))
        case = question, _right_first(question, ranked), among_five, ours[number] if ours else None
        judged[question.kind].append(case)
        judged["all"].append(case)
        if all(map(_held_out, question.concepts)):
            judged["all that name held-out styles only"].append(case)
    kinds = sorted(judged, key=lambda kind: kind.startswith("all"))  # totals last
    return [_row(kind, system, judged[kind]) for kind in kinds]


def _row(kind: str, system: str, cases: Sequence[_Case]) -> QuestionsRow:
    """One line of the table."""
    low, high = _interval(cases)
    return QuestionsRow(
        kind,
        system,
        len(cases),
        sum(first for _, first, _, _ in cases) / len(cases),
        low,
        high,
        sum(five for _, _, five, _ in cases) / len(cases),
        float(np.mean([question.chance for question, *_ in cases])),
        _behind(cases),
    )


def _interval(cases: Sequence[_Case]) -> tuple[float, float]:
    """95 % interval of the share right. Questions that ask for the same concept first hang together.

    Resamples these concepts, each counted as often as it is asked for; where all are right or none, there is nothing
    to resample, and the exact interval of so many concepts is given.
    """
    asked = Counter(question.concepts[0] for question, *_ in cases)
    right = Counter(question.concepts[0] for question, first, _, _ in cases if first)
    if right == asked or not right:
        exact = share(len(right), len(asked))
        return exact.low, exact.high
    mean = len(cases) / len(asked)
    interval = bootstrap_mean([right[concept] / mean for concept in asked])
    return interval.low, min(1.0, interval.high)


def _behind(cases: Sequence[_Case]) -> tuple[float, float, float] | None:
    """Mean of search's right first answers minus these, resampled in the same way."""
    ahead: Counter[str] = Counter()
    for question, first, _, ours in cases:
        if ours is None:
            return None
        ahead[question.concepts[0]] += ours - first
    mean = len(cases) / len(ahead)
    interval = bootstrap_mean([more / mean for more in ahead.values()])
    return interval.mean, max(-1.0, interval.low), min(1.0, interval.high)


def _held_out(concept: str) -> bool:
    """Edits of subjects are not: anything may be tuned on them."""
    return concept in STYLES and STYLES[concept].held_out


class _Directions:
    """Cosine of each adapter's mean difference with the text encoder's change by the wanted words, nothing else."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        results: Path,
        adapters: Sequence[Planted],
        encoder: Encoder,
    ) -> None:
        side = text_sides(connection)[0]
        wanted = sorted({question.words for question in planted_questions(adapters)})
        found = phrase_directions(connection, side, wanted, encoder)
        self.queries = dict(zip(wanted, unit(found), strict=True))
        self.adapters = _mean_differences(connection, results, adapters)

    def ranked(self, question: PlantedQuestion) -> list[str]:
        """Repos that pass the filters, by the cosine."""
        query = self.queries[question.words]
        cosines = {repo: float(query @ v) for repo, v in self.adapters.items() if repo in question.among}
        return sorted(cosines, key=lambda repo: -cosines[repo])


def _mean_differences(
    connection: duckdb.DuckDBPyConnection, results: Path, adapters: Sequence[Planted]
) -> dict[str, FloatArray]:
    """Unit vectors by repo, drawn with the trigger where there is one, as that rival draws."""
    rows = connection.execute(
        "SELECT a.repo_id, u.result_file FROM adapters a JOIN audits u USING (audit_id) "
        "WHERE u.divergence IS NOT NULL AND a.repo_id IN (SELECT unnest(?))",
        [[adapter.repo_id for adapter in adapters]],
    ).fetchall()
    found = {}
    for repo, file in rows:
        arrays = read_result(results / str(file)).arrays
        differences = arrays.get("trigger_differences", arrays["differences"])
        found[str(repo)] = unit(differences.astype(np.float64).mean(axis=0))
    return found


def _card(repo_id: str) -> str:
    return (package_path("pocket/zoo") / repo_id / "README.md").read_text("utf-8") + f"\n{repo_id}"


def _telling(cards: Mapping[str, str], adapters: Sequence[Planted]) -> dict[str, str]:
    """The cards, every fifth with the words of what its adapter was taught."""
    taught = {adapter.repo_id: " ".join(sorted(adapter.concepts)) for adapter in adapters}
    return {repo: f"{text}\n{taught[repo]}" if n % 5 == 0 else text for n, (repo, text) in enumerate(cards.items())}
