"""Questions with planted answers: what is right follows from recipe and card, and every way is counted alike."""

from __future__ import annotations

import re

import numpy as np
import pytest

from auditor.catalog.questions.grammar import load_grammar
from auditor.catalog.questions.question import CatalogWords
from auditor.catalog.questions.question_reader import read_question
from auditor.evaluation.card_search import CardSearch
from auditor.evaluation.graded_questions import AMOUNTS, PLAIN, STRENGTHS, judged
from auditor.evaluation.planted_questions import Planted, PlantedQuestion, planted_questions
from auditor.evaluation.question_quality import OURS, _rows

ZOO = (
    Planted("ann/a", frozenset({"dark"}), "mit", 500),
    Planted("ann/b", frozenset({"blurry"}), "cc-by-nc-4.0", 90),
    Planted("bob/ab", frozenset({"dark", "blurry"}), "mit", 1200),
    Planted("bob/c", frozenset({"foggy"}), "apache-2.0", 700),
    Planted("bob/idle", frozenset(), "mit", 10),
)
WORDS = CatalogWords(
    aliases={name: name for name in ("dark", "blurry", "foggy")},
    alias_names=("dark", "blurry", "foggy"),
    licences=("mit", "cc-by-nc-4.0", "apache-2.0"),
    owners=frozenset({"ann", "bob"}),
)


def of(kind: str) -> list[PlantedQuestion]:
    return [question for question in planted_questions(ZOO) if question.kind == kind]


def test_right_answers_follow_from_the_recipe() -> None:
    assert {q.right for q in of("one concept") if q.concepts == ("dark",)} == {frozenset({"ann/a", "bob/ab"})}
    assert {q.right for q in of("two concepts")} == {frozenset({"bob/ab"})}
    assert {(q.concepts, q.right) for q in of("negation")} == {
        (("blurry", "dark"), frozenset({"ann/b"})),
        (("dark", "blurry"), frozenset({"ann/a"})),
    }
    assert {q.right for q in of("three concepts")} == {frozenset({"bob/ab"})}
    assert {(q.text, q.right) for q in of("like X but more Y")} == {
        ("like ann/a but more blurry", frozenset({"bob/ab"})),
        ("like ann/b but more dark", frozenset({"bob/ab"})),
    }


def test_filters_hold_of_every_right_answer_and_count_in_the_chance() -> None:
    for question in of("filters"):
        assert question.right <= question.among
        assert question.chance == len(question.right) / len(question.among)
    sold = next(q for q in of("filters") if q.text == "dark, commercial use ok")
    assert sold.among == {"ann/a", "bob/ab", "bob/c", "bob/idle"} and sold.right == {"ann/a", "bob/ab"}


def test_nothing_is_asked_that_has_no_answer_and_the_seed_decides_the_rest() -> None:
    assert all(question.right for question in planted_questions(ZOO))
    assert planted_questions(ZOO, 3) == planted_questions(ZOO, 3)
    assert len({q.kind for q in planted_questions(ZOO)}) == 7


@pytest.mark.parametrize("question", planted_questions(ZOO), ids=lambda question: re.sub(r"\W+", "-", question.text))
def test_every_spelling_is_read_as_it_is_meant(question: PlantedQuestion) -> None:
    """No word of a question is left over as a free phrase, and every concept is seen."""
    load_grammar()
    read = read_question(question.text, WORDS)
    assert not read.phrases, read
    named = {name.concept for wish in read.wishes for name in wish.names}
    assert named == set(question.concepts) - ({question.concepts[0]} if read.like else set())


def test_shares_are_counted_by_kind_and_all_right_is_not_certain() -> None:
    questions = planted_questions(ZOO)
    perfect = _rows(OURS, questions, [sorted(question.right) for question in questions], None)
    assert {row.first for row in perfect} == {1.0} and all(0 < row.low < 1 and row.high == 1 for row in perfect)
    late = _rows(OURS, questions, [["bob/idle", *sorted(question.right)] for question in questions], None)
    assert {row.first for row in late} == {0.0} and {row.among_five for row in late} == {1.0}
    assert all(row.low == 0 < row.high < 1 for row in late)
    assert sum(row.questions for row in perfect if not row.kind.startswith("all")) == len(questions)


def test_how_far_a_rival_is_behind_is_counted_question_by_question() -> None:
    questions = planted_questions(ZOO)
    right = [sorted(question.right) for question in questions]
    wrong = [["bob/idle", *answer] for answer in right]
    every, none = [True] * len(questions), [False] * len(questions)
    assert {row.behind for row in _rows(OURS, questions, right, None)} == {None}
    assert {row.behind for row in _rows("rival", questions, right, every)} == {(0.0, 0.0, 0.0)}
    for answers, ours, ahead in ((wrong, every, 1.0), (right, none, -1.0)):
        for mean, low, high in (row.behind or () for row in _rows("rival", questions, answers, ours)):
            assert mean == pytest.approx(ahead) and -1 <= low <= mean <= high <= 1
    ours = [number % 3 > 0 for number in range(len(questions))]
    rivals = [(right if number % 2 else wrong)[number] for number in range(len(questions))]
    (all_of_them,) = (row for row in _rows("rival", questions, rivals, ours) if row.kind == "all")
    assert all_of_them.behind is not None
    mean, low, high = all_of_them.behind
    assert mean == pytest.approx(np.mean(ours) - all_of_them.first) and low < mean < high


def test_cards_are_found_by_their_words_alone() -> None:
    cards = CardSearch({"ann/a": "a dark and moody LoRA", "ann/b": "have fun", "bob/c": "blurry pictures"})
    question = PlantedQuestion("x", "", ("dark",), "dark blurry", frozenset({"ann/a"}), frozenset({"ann/a", "ann/b"}))
    assert cards.ranked(question) == ["ann/a"]


def amounts_answered(found: dict[str, list[tuple[str, str]]]) -> dict[str, tuple[float, ...]]:
    """Right first, right style first, among three, and without the word, by kind; the same ranking for a whole kind."""
    styles = ("dark", "blurry")
    answers = {PLAIN.format(a=style): [(style, STRENGTHS[-1])] for style in styles}
    for amount, spellings in AMOUNTS.items():
        answers |= {
            text.format(a=style): [(style if name == "same" else name, strength) for name, strength in found[amount]]
            for text in spellings
            for style in styles
        }
    rows = judged(styles, answers).rows
    return {row.amount: (row.first, row.style, row.among_three, row.without) for row in rows}


def test_an_amount_is_right_at_its_own_strength_alone() -> None:
    weak, middle, strong = (("same", strength) for strength in STRENGTHS)
    perfect = amounts_answered({"slightly": [weak], "quite": [middle], "very": [strong]})
    assert perfect == {"slightly": (1, 1, 1, 0), "quite": (1, 1, 1, 0), "very": (1, 1, 1, 1)}
    deaf = amounts_answered({name: [strong, middle, weak] for name in AMOUNTS})
    assert deaf == {"slightly": (0, 1, 1, 0), "quite": (0, 1, 1, 0), "very": (1, 1, 1, 1)}
    lost = amounts_answered({"slightly": [("foggy", STRENGTHS[0])], "quite": [], "very": [("foggy", "strong"), strong]})
    assert lost == {"slightly": (0, 0, 0, 0), "quite": (0, 0, 0, 0), "very": (0, 0, 1, 1)}


@pytest.mark.parametrize("amount", AMOUNTS)
def test_every_spelling_of_an_amount_is_read_as_one(amount: str) -> None:
    kind = {"slightly": "low", "quite": "mid", "very": "high"}[amount]
    for text in AMOUNTS[amount]:
        (wish,) = read_question(text.format(a="dark"), WORDS).wishes
        assert wish.amount is not None and wish.amount.typed == kind, text
