"""Words that a recipe cannot tell apart: search finds what lies with another member, and pages name the cluster."""

import numpy as np
import pytest

from auditor.catalog.adapter_cards import read_cards
from auditor.catalog.cluster_words import ClusterWords, cluster_words, label, measured_clusters
from auditor.catalog.comparisons import compare
from auditor.catalog.explain_page import render_page
from auditor.catalog.model_card_section import model_card_section
from auditor.catalog.reading import reading_catalog, run_sql
from auditor.catalog.reference_rows import BasisVectors
from auditor.catalog.search import search
from auditor.records.proposals import ProposedPhrase
from auditor.results.result_file import write_result

ALIKE = ("vibrant", "posterized")


def leaders(lexicon, words=ALIKE):
    """Cluster of `words`, everything else alone."""
    places = np.arange(len(lexicon.names))
    first = min(lexicon.names.index(word) for word in words)
    for word in words:
        places[lexicon.names.index(word)] = first
    return places


def basis(world, build, clusters):
    return BasisVectors(
        world.lexicon.names,
        build.vectors(world.lexicon),
        np.zeros((0, 48)),
        levels=build.vectors(world.lexicon),
        clusters=clusters,
    )


@pytest.fixture
def clustered(world):
    """Two adapters by the word itself, two by the other member, and one by neither. "posterized" was named most."""
    for number in range(2):
        world.add(f"ann/named-{number}", {"dark": 0.9}, phrases=(ProposedPhrase("posterized", 1.0, 0.0),))
    world.add("ann/vibrant", {"vibrant": 0.4})
    world.add("bob/posterized", {"posterized": 0.9})
    world.add("bob/posterized-paint", {"posterized": 0.5, "watercolor": 0.5, "vibrant": 0.05})
    world.add("cat/foggy", {"foggy": 0.9})
    world.merge(clusters=leaders(world.lexicon))
    return world


def found(answer):
    return [(hit.repo_id, hit.band) for hit in answer.hits if hit.band != "near"]


def test_what_lies_with_another_member_is_found_behind_what_has_the_word_itself(clustered):
    answer = search(clustered.database, "vibrant")
    # Of those behind, the one that lies nearer to the wanted word, though the other has more of what stands for it.
    assert found(answer) == [("ann/vibrant", "surely"), ("bob/posterized-paint", "maybe"), ("bob/posterized", "maybe")]
    assert [(m.term, m.found_as) for m in answer.hits[2].matched] == [("vibrant", "posterized")]
    assert answer.hits[2].matched[0].low == pytest.approx(0.8, abs=1e-6)
    assert "posterized" not in answer.hits[2].side_effects
    assert answer.notes and "posterized and vibrant cannot be told apart" in answer.notes[0]
    assert run_sql(clustered.database, answer.sql).records()[2]["repo_id"] == "bob/posterized"
    back = search(clustered.database, "posterized")
    assert found(back)[-1] == ("ann/vibrant", "maybe") and len(found(back)) == 3


def test_of_two_wanted_words_either_may_be_found_by_its_neighbour(clustered):
    hits = found(search(clustered.database, "vibrant watercolor"))
    assert hits == [("bob/posterized-paint", "maybe")]


def test_what_is_not_wanted_goes_by_the_word_itself(clustered):
    assert ("bob/posterized-paint", "surely") in found(search(clustered.database, "watercolor but not vibrant"))
    assert found(search(clustered.database, "vibrant but not posterized")) == [("ann/vibrant", "surely")]


def test_an_amount_is_of_the_word_itself_and_nothing_else_is_said(clustered):
    answer = search(clustered.database, "vibrant < 0.05, posterized")
    assert [m.found_as for m in answer.hits[0].matched if m.term == "vibrant"] == [None]
    assert search(clustered.database, "vibrant > 0.2").notes == ()
    assert search(clustered.database, "like cat/foggy, more vibrant").notes == ()


def test_a_comparison_is_of_the_words_themselves(world):
    """Though by its neighbour the other adapter has more of the one than of the other too."""
    world.add("ann/vibrant", {"vibrant": 0.6, "watercolor": 0.3})
    world.add("bob/posterized", {"posterized": 0.9, "watercolor": 0.3})
    world.merge(clusters=leaders(world.lexicon))
    assert found(search(world.database, "more vibrant than watercolor")) == [("ann/vibrant", "surely")]
    assert len(found(search(world.database, "vibrant watercolor"))) == 2


@pytest.mark.parametrize(("other", "band"), [(0.69, "surely"), (0.71, "maybe")])
def test_a_comparison_is_sure_where_the_intervals_lie_apart(world, other, band):
    world.add("ann/both", {"vibrant": 0.9, "watercolor": other})  # each ± 0.1
    world.merge()
    assert found(search(world.database, "more vibrant than watercolor")) == [("ann/both", band)]


def test_without_a_cluster_the_question_and_its_answer_are_as_before(world):
    world.add("ann/vibrant", {"vibrant": 0.4})
    world.add("bob/posterized", {"posterized": 0.9})
    world.merge()
    answer = search(world.database, "vibrant")
    assert (found(answer), answer.notes) == ([("ann/vibrant", "surely")], ())
    assert not any(text in answer.sql for text in ("posterized", "USING (audit_id)", "wide_level"))


def test_a_cluster_holds_for_its_own_recipe_only(world, build):
    other = build.recipe(world.lexicon, base="second")
    world.add("ann/vibrant", {"vibrant": 0.4})
    item = world.item("bob/elsewhere", base_name="second")
    write_result(world.results, build.result(item, other, world.lexicon, {"posterized": 0.9}))
    bases = {
        world.recipe.recipe_id: basis(world, build, leaders(world.lexicon)),
        other.recipe_id: basis(world, build, np.arange(len(world.lexicon.names))),
    }
    world.merge(recipes=[world.recipe, other], basis_vectors=bases)
    assert found(search(world.database, "vibrant")) == [("ann/vibrant", "surely")]
    assert [row["repo_id"] for row in run_sql(world.database, "FROM most('vibrant')").records()] == ["ann/vibrant"]


def test_most_finds_by_any_member(clustered):
    rows = run_sql(clustered.database, "FROM most('vibrant')").records()
    assert [row["repo_id"] for row in rows] == ["ann/vibrant", "bob/posterized", "bob/posterized-paint"]
    assert [row["matched"][0]["concept"] for row in rows] == ["vibrant", "posterized", "posterized"]
    assert [round(row["at_least"], 2) for row in rows] == [0.3, 0.0, 0.0]
    both = run_sql(clustered.database, "FROM most('vibrant', 'watercolor')").records()
    assert [row["repo_id"] for row in both] == ["bob/posterized-paint"]


def test_a_card_goes_by_the_word_that_is_named_most_unless_its_scores_tell_the_words_apart(clustered, build):
    unsure = build.result(
        clustered.item("dan/unsure"), clustered.recipe, clustered.lexicon, {"vibrant": 0.5, "posterized": 0.4}
    )
    write_result(clustered.results, unsure)
    clustered.merge(clusters=leaders(clustered.lexicon))
    (clear,), (both,) = (read_cards(clustered.database, name) for name in ("ann/vibrant", "dan/unsure"))
    assert clear.scores[0]["alike"] == ["vibrant", "posterized"]
    assert [row["alike"] for row in both.scores] == [["posterized", "vibrant"]] * 2
    with reading_catalog(clustered.database) as connection:
        words = cluster_words(connection)
    page = render_page(unsure, recipe=clustered.recipe, words=words)
    assert "Makes images <strong>posterized (or: vibrant)</strong>." in page and "cannot be told apart here" in page
    section = model_card_section(unsure, clustered.recipe, None, words)
    assert "| posterized (or: vibrant) | 0.50 |" in section and section.count("posterized") == 2
    assert "(or:" not in render_page(unsure, recipe=clustered.recipe)


def test_words_that_mean_the_same_here_are_no_difference_between_two_adapters(clustered):
    compared = compare(clustered.database, "ann/vibrant", "bob/posterized-paint")
    assert (compared.only_first, compared.only_second) == ((), ("watercolor",))


def test_a_large_cluster_is_shortened():
    words = ("a", "b", "c", "d", "e", "f")
    assert label("c", words) == "a (or: b, c, d, and 2 more)"
    assert label("x", ()) == "x"


def test_where_no_catalog_knows_better_a_cluster_goes_by_the_first_of_the_lexicon():
    words = measured_clusters("r", ["a", "b", "c"], [0, 1, 1])
    assert (words.of("r", "c"), words.of("r", "a"), words.of("other", "c")) == (("b", "c"), (), ())
    assert words == ClusterWords({"r": {"b": ("b", "c"), "c": ("b", "c")}})
