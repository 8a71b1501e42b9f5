"""Answers to questions: bands, amounts, negation, filters, triggers, neighbours, on planted catalogs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog.adapter_cards import read_cards
from auditor.catalog.explain_page import render_page
from auditor.catalog.search import search
from auditor.catalog.strength import Strength, strength_for
from auditor.cli.show import _show
from auditor.errors import UserError
from auditor.records.result import DosePoint
from auditor.results.result_file import Result, write_result


def bands(answer):
    return {hit.repo_id: hit.band for hit in answer.hits}


def first(answer):
    return [hit.repo_id for hit in answer.hits if hit.band != "near"]


def with_scores(build, world, item, plain, worded, trigger="sks"):
    """A result whose weights alone do `plain`, and with the trigger `worded`."""
    rich = build.rich(item, world.recipe, world.lexicon)
    base = build.result(item, world.recipe, world.lexicon, plain)
    arms = rich.record.arms.model_copy(
        update={"trigger": trigger, "scores": build.result(item, world.recipe, world.lexicon, worded).record.scores}
    )
    return Result(base.record.model_copy(update={"arms": arms}), base.arrays)


def test_another_order_is_that_of_the_nearest(catalog, monkeypatch):
    """To be the most downloaded of all is not to be alike."""
    monkeypatch.setattr("auditor.catalog.evidence_sql.NEAREST", 2)
    nearest = [hit.repo_id for hit in search(catalog.database, "like ann/vibrant but more watercolor").hits[:2]]
    for order in ("popular", "newest", "oldest", "smallest"):
        found = search(catalog.database, f"{order}, like ann/vibrant but more watercolor").hits
        assert {hit.repo_id for hit in found} == set(nearest), order


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("slightly vibrant", ["bob/watercolor"]),
        ("very vibrant", ["ann/vibrant", "bob/dark-paint", "ann/vivid-paint"]),
        ("vibrant > 0.7", ["ann/vibrant", "bob/dark-paint"]),
        ("more vibrant than watercolor", ["bob/dark-paint", "ann/vivid-paint"]),
        ("more watercolor than vibrant", ["bob/watercolor"]),
        ("blurry or foggy", ["cat/blur", "dan/foggy"]),
        ("unblurry", ["cat/sharp"]),
        ("watercolor by cat", ["cat/sharp"]),
        ("any lora that does nothing", ["dan/nothing"]),
        ("dan/foggy", ["dan/foggy"]),
        ("https://hub.example/dan/foggy/tree/main", ["dan/foggy"]),
        ("vivid-pai", ["ann/vivid-paint"]),
        ("vibrnat watercolr -dark", ["ann/vivid-paint", "bob/watercolor"]),
        ("like ann/vibrant but more watercolor", ["ann/vivid-paint", "bob/dark-paint", "bob/watercolor"]),
        ("top 1 vibrant", ["ann/vibrant"]),
        ("not audited", ["eve/empty", "dan/nothing"]),
    ],
)
def test_questions_with_known_answers(catalog, question, expected):
    answer = search(catalog.database, question)
    found = first(answer)
    assert set(found) == set(expected) if question == "not audited" else found[: len(expected)] == expected
    if question in ("slightly vibrant", "very vibrant", "unblurry") or "than" in question:
        assert set(bands(answer)[name] for name in expected) <= {"surely", "maybe"}


def test_an_amount_puts_stronger_ones_below(catalog):
    """0.15 is slightly vibrant; 0.6 and more are too much, nearest first."""
    answer = search(catalog.database, "slightly vibrant")
    assert [(hit.repo_id, hit.band) for hit in answer.hits] == [
        ("bob/watercolor", "surely"),
        ("ann/vivid-paint", "near"),
        ("bob/dark-paint", "near"),
        ("ann/vibrant", "near"),
    ]


def test_a_hit_needs_every_concept_and_near_ones_are_told_apart(catalog):
    found = bands(search(catalog.database, "vibrant dark"))
    assert found == {
        "bob/dark-paint": "surely",
        "ann/vibrant": "near",
        "ann/vivid-paint": "near",
        "bob/watercolor": "near",
    }


def test_alone_a_negation_lists_what_has_least_of_it_with_scores(catalog):
    answer = search(catalog.database, "not blurry")
    assert answer.hits[0].repo_id == "cat/sharp"
    assert answer.hits[0].matched[0].projection == pytest.approx(-0.6)
    assert "cat/blur" not in bands(answer)


def test_an_adapter_that_acts_with_its_word_is_found_and_shown_with_it(world, build):
    item = world.item("ann/quiet", trigger="sks")
    write_result(world.results, with_scores(build, world, item, {"foggy": 0.2}, {"vibrant": 0.7, "foggy": 0.2}))
    world.add("bob/plain", {"vibrant": 0.5})
    world.merge()
    hits = search(world.database, "vibrant").hits
    assert [(hit.repo_id, hit.with_trigger) for hit in hits] == [("ann/quiet", True), ("bob/plain", False)]
    assert hits[0].matched[0].score == pytest.approx(0.7)
    assert hits[0].side_effects == ("foggy",)
    assert hits[0].strength is None, "the dose was measured without the word"


def test_the_strength_of_what_acts_only_with_its_word_is_found_by_the_answer_and_by_the_page(world, build):
    item = world.item("ann/quiet", trigger="sks")
    dose = tuple(DosePoint(scale=s, norm=s * 0.5, projections={"vibrant": s * 0.4}) for s in (0.5, 1.0))
    quiet = with_scores(build, world, item, {}, {"vibrant": 0.7})
    quiet = Result(quiet.record.model_copy(update={"dose": dose}), quiet.arrays)
    write_result(world.results, quiet)
    world.merge()
    (hit,) = search(world.database, "vibrant").hits
    assert (hit.with_trigger, hit.strength) == (True, Strength(0.5, 1.0))
    assert "0.5 to 1 (measured ones that suit vibrant)" in render_page(quiet, recipe=world.recipe)


def test_show_and_page_name_the_strength_of_the_same_concept(world, build, capsys):
    """Not of the highest score, whose interval reaches 0."""
    dose = tuple(DosePoint(scale=s, norm=s, projections={"vibrant": s, "dark": s * 0.4}) for s in (0.5, 1.0))
    result = build.result(
        world.item("ann/paint"), world.recipe, world.lexicon, {"vibrant": 0.9, "dark": 0.4}, dose=dose
    )
    doubtful = tuple(s.model_copy(update={"low": 0.0}) if s.concept == "vibrant" else s for s in result.record.scores)
    result = Result(result.record.model_copy(update={"scores": doubtful}), result.arrays)
    write_result(world.results, result)
    world.merge()
    _show(read_cards(world.database, "ann/paint")[0])
    assert "0.5 to 1 (measured ones that suit dark)" in capsys.readouterr().out
    assert "0.5 to 1 (measured ones that suit dark)" in render_page(result, recipe=world.recipe)


def test_filters_that_exist_work_and_others_are_explained(catalog):
    assert first(search(catalog.database, "vibrant, downloads:>=1"))[0] == "bob/dark-paint"
    assert search(catalog.database, "vibrant, apache-2.0 licence").hits == ()
    assert first(search(catalog.database, "vibrant, commercial use ok"))[0] == "ann/vibrant", "mit is among them"
    assert first(search(catalog.database, "popular vibrant"))[0] == "bob/dark-paint"
    with pytest.raises(UserError, match="bases in this catalog: pocket"):
        search(catalog.database, "vibrant for sdxl")
    with pytest.raises(UserError, match="near names: ann/vibrant"):
        search(catalog.database, "ann/vibrunt")


def test_exact_base_can_be_asked_for_and_waived(world):
    world.add("ann/exact", {"vibrant": 0.9})
    world.add("bob/assumed", {"vibrant": 0.8}, base_assumed=True)
    world.merge()
    assert [hit.repo_id for hit in search(world.database, "vibrant, exact base only").hits] == ["ann/exact"]
    for text in ("vibrant exact:no", "vibrant, not exact base"):
        assert [hit.repo_id for hit in search(world.database, text).hits] == ["ann/exact", "bob/assumed"]


CONCEPTS = st.sampled_from(["vibrant", "watercolor", "dark", "blurry", "foggy"])
FILTERS = st.sampled_from(
    ["by ann", "by bob", "by cat", "mit licence", "downloads:>2", "since 2020", "without trigger"]
)


@settings(max_examples=10, deadline=None)
@given(st.lists(CONCEPTS, min_size=1, max_size=2, unique=True), FILTERS)
def test_a_filter_never_changes_the_order_of_what_remains(session_database, concepts, filtered):
    plain = [hit.repo_id for hit in search(session_database, " ".join(concepts), 100).hits]
    kept = [hit.repo_id for hit in search(session_database, f"{' '.join(concepts)}, {filtered}", 100).hits]
    assert kept == [name for name in plain if name in kept]


@settings(max_examples=10, deadline=None)
@given(CONCEPTS, CONCEPTS)
def test_negating_never_returns_the_same_first_answers(session_database, wanted, other):
    """Whoever surely has a concept is no answer to a question without it."""
    have = {hit.repo_id for hit in search(session_database, wanted, 100).hits if hit.band == "surely"}
    lack = {hit.repo_id for hit in search(session_database, f"not {wanted}", 100).hits}
    strong = {hit.repo_id for hit in search(session_database, f"{wanted} > 0.21", 100).hits if hit.band == "surely"}
    assert strong and strong.isdisjoint(lack) and not have <= lack
    if other != wanted:
        both = {hit.repo_id for hit in search(session_database, f"{other}, no {wanted}", 100).hits}
        assert strong.isdisjoint(both)


@pytest.fixture(scope="module")
def session_database(catalog):
    return catalog.database


def test_strength_is_where_the_concept_is_there_and_nothing_outgrows_it():
    dose = [
        {"scale": 0.25, "norm": 0.1, "projections": {"vibrant": 0.05}},
        {"scale": 0.5, "norm": 0.2, "projections": {"vibrant": 0.2}},
        {"scale": 1.0, "norm": 0.4, "projections": {"vibrant": 0.4}},
        {"scale": 1.5, "norm": 2.0, "projections": {"vibrant": 0.5}},
    ]
    assert strength_for(["vibrant"], dose) == Strength(0.5, 1.0)
    assert strength_for(["dark"], dose) is None
    assert strength_for(["vibrant"], []) is None
