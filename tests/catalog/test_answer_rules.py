"""What an answer, a card, a report and a comparison say where two rules meet, and what stays out unless it is sure."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from auditor.catalog.adapter_cards import read_cards
from auditor.catalog.cluster_words import ClusterWords
from auditor.catalog.comparisons import compare, difference, duplicates
from auditor.catalog.coverage import read_coverage
from auditor.catalog.model_card_section import model_card_section
from auditor.catalog.morning import read_morning
from auditor.catalog.phrases import join_phrase, phrase_directions, text_sides
from auditor.catalog.publishing import catalog_before
from auditor.catalog.reading import reading_catalog
from auditor.catalog.search import search
from auditor.catalog.strength import Strength, best_strength, measured_with_word, strength_for
from auditor.errors import PrerequisiteMissing, UserError
from auditor.records.result import ANY_RECIPE, AuditRecord, ConceptScore
from auditor.results.result_file import Result, read_result, write_result

EARLIER = "2020-01-01T00:00:00+00:00"


def skip(world, repo_id, reason, outcome="skipped", **changes):
    item = world.item(repo_id)
    record = AuditRecord(
        item=item, file_sha256=item.file_sha256, recipe_id=ANY_RECIPE, outcome=outcome, reason=reason, message="No.",
        base_name=None,
    )  # fmt: skip
    write_result(world.results, Result(record.model_copy(update=changes), {}))


def doubtful(result, *concepts):
    scores = tuple(s.model_copy(update={"low": 0.0}) if s.concept in concepts else s for s in result.record.scores)
    return Result(result.record.model_copy(update={"scores": scores}), result.arrays)


# --- how many hits, and which


@pytest.mark.parametrize(("text", "k", "hits"), [("vibrant", 1, 1), ("top 1 vibrant", 10, 1), ("top 3 vibrant", 1, 3)])
def test_the_question_says_how_many_before_the_option_does(catalog, text, k, hits):
    assert len(search(catalog.database, text, k).hits) == hits


def test_a_neighbour_can_be_moved_along_concepts_only(catalog):
    with pytest.raises(UserError, match="moved along concepts only"):
        search(catalog.database, "like ann/vibrant but more pine wood")


def test_a_repo_of_just_this_name_is_shown_although_others_hold_it_and_a_part_that_several_hold_is_none(world):
    for repo_id in ("ann/tide", "ann/tide-two", "bob/ann"):
        world.add(repo_id, {"vibrant": 0.5})
    world.merge()
    assert [card.card["repo_id"] for card in read_cards(world.database, "ANN/tide")] == ["ann/tide"]
    with pytest.raises(UserError, match="several repos have 'tide'"):
        read_cards(world.database, "tide")


class FoggyEncoder:
    """To it "pine wood" means foggy, and every prompt that it was asked about is kept."""

    identity = "test-encoder"

    def __init__(self, world, build):
        self.foggy = dict(zip(world.lexicon.names, build.vectors(world.lexicon), strict=True))["foggy"]
        self.asked = []

    def encode_texts(self, texts):
        self.asked += texts
        rows = np.full((len(texts), len(self.foggy)), 0.05)
        rows += np.array([0.3 * ("pine wood" in text) for text in texts])[:, None] * self.foggy
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_single_differences_of_another_space_are_as_good_as_none(catalog, build):
    answer = search(
        catalog.database,
        "pine wood",
        encoder=lambda: FoggyEncoder(catalog, build),
        differences=lambda name: np.zeros((12, 7)),
    )
    assert answer.hits[0].matched[0].low is None and any("not at hand" in note for note in answer.notes)


def test_with_a_free_phrase_too_another_order_is_that_of_hits_which_are_equally_sure(world, build):
    for repo_id, foggy in (("ann/less", 0.5), ("bob/more", 0.9)):
        world.add(repo_id, {"foggy": foggy})
    world.merge()

    def asked(text):
        hits = search(
            world.database,
            text,
            encoder=lambda: FoggyEncoder(world, build),
            differences=lambda name: read_result(world.results / name).arrays["differences"],
        ).hits
        assert {hit.band for hit in hits} == {"surely"}
        return [hit.repo_id for hit in hits]

    assert asked("pine wood") == ["bob/more", "ann/less"] == asked("popular pine wood")
    world.repos.reverse()
    world.repos = [
        repo.__class__(repo.repo_id, repo.commit_sha, downloads=place) for place, repo in enumerate(world.repos)
    ]
    world.merge()
    assert asked("pine wood") == ["bob/more", "ann/less"]
    assert asked("popular pine wood") == ["ann/less", "bob/more"]


def test_a_phrase_is_asked_in_as_many_prompts_as_the_recipe_used(world, build):
    world.recipe = build.recipe(world.lexicon, probe_count=5)
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge()
    encoder = FoggyEncoder(world, build)
    with reading_catalog(world.database) as connection:
        (side,) = text_sides(connection)
        phrase_directions(connection, side, ["pine wood"], encoder)
        assert len({text for text in encoder.asked if "pine wood" in text}) == 5
        with pytest.raises(UserError, match="sees nothing in 'fir'"):
            phrase_directions(connection, side, ["fir"], encoder)


def test_without_its_probes_a_catalog_says_what_to_do(world, build):
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge(probe_sets=[])
    with reading_catalog(world.database) as connection:
        (side,) = text_sides(connection)
        with pytest.raises(PrerequisiteMissing, match="auditor merge"):
            phrase_directions(connection, side, ["pine wood"], FoggyEncoder(world, build))


def test_only_recipes_that_measured_something_are_asked_about(world, build):
    unused = build.recipe(world.lexicon, base="second", encoder="another")
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge(recipes=[world.recipe, unused])
    with reading_catalog(world.database) as connection:
        assert [side.encoder for side in text_sides(connection)] == ["test-encoder"]


def test_braces_in_a_prompt_or_phrase_are_text():
    assert join_phrase("{prompt}, {concept}", "a {concept}", "{prompt}") == "a {concept}, {prompt}"
    assert join_phrase("{concept} {prompt}", "boat", "red") == "red boat"


# --- adapters beside each other


def test_what_differs_beyond_both_intervals_comes_first_and_what_neither_has_is_left_out(world, build):
    first = build.result(world.item("ann/one"), world.recipe, world.lexicon, {"vibrant": 0.5, "dark": 0.9})
    wide = tuple(s.model_copy(update={"low": 0.0}) if s.concept == "dark" else s for s in first.record.scores)
    write_result(world.results, Result(first.record.model_copy(update={"scores": wide}), first.arrays))
    world.add("bob/two", {"foggy": 0.1})
    world.merge()
    compared = compare(world.database, "ann/one", "bob/two")
    assert [row["concept"] for row in compared.table.records()] == ["vibrant", "dark", "foggy"]
    assert (compared.only_first, compared.only_second) == (("vibrant",), ())


def test_duplicates_by_effect_are_pairs_of_one_base_that_do_nearly_the_same(world, build):
    other = build.recipe(world.lexicon, base="second")
    world.add("ann/one", {"vibrant": 0.5})
    world.add("bob/twice-as-strong", {"vibrant": 1.0})
    world.add("cat/alike", {"vibrant": 0.9, "dark": 0.3})
    item = world.item("dan/elsewhere", base_name="second")
    write_result(world.results, build.result(item, other, world.lexicon, {"vibrant": 0.5}))
    world.merge(recipes=[world.recipe, other])
    (row,) = duplicates(world.database, by_effect=True).records()
    assert {row["first"], row["second"]} == {"ann/one", "bob/twice-as-strong"}
    assert row["cosine"] == pytest.approx(1.0, abs=1e-4)


def test_groups_of_the_same_weights_come_largest_first_and_no_more_than_asked_for(world):
    for repo_id, content in (("ann/a", "x"), ("bob/a", "x"), ("ann/b", "y"), ("bob/b", "y"), ("cat/b", "y")):
        world.item(repo_id, content=content)
    world.item("dan/alone")
    world.merge()
    both = duplicates(world.database).records()
    assert [row["copies"] for row in both] == [3, 2]
    assert both[0]["adapters"][0] == "cat/b/lora.safetensors", "the most downloaded"
    assert duplicates(world.database, limit=1).records() == both[:1]


def test_scores_that_rose_have_moved_too_and_those_of_another_recipe_have_not(world, build):
    world.add("ann/rises", {"vibrant": 0.2})
    world.add("bob/again", {"vibrant": 0.2})
    world.add("cat/still", {"vibrant": 0.2})
    world.merge()
    (world.folder / "before.duckdb").write_bytes(world.database.read_bytes())
    other = build.recipe(world.lexicon, seed=3)
    rises, again, _ = world.items
    write_result(world.results, build.result(rises, world.recipe, world.lexicon, {"vibrant": 0.9}))
    write_result(world.results, build.result(again, other, world.lexicon, {"vibrant": 0.9}))
    skip(world, "dan/new", "unsupported_format")
    world.merge(recipes=[other, world.recipe])
    changes = difference(world.folder / "before.duckdb", world.database)
    assert [row["repo_id"] for row in changes.moved.records()] == ["ann/rises"]
    assert [row["repo_id"] for row in changes.added.records()] == ["dan/new"] and changes.outcomes.rows == ()


# --- the morning after, and what is covered


def test_what_went_wrong_in_earlier_nights_is_not_told_again_unless_it_was_never_opened(world):
    skip(world, "ann/earlier", "unsupported_format", finished_at=EARLIER)
    world.settle("bob/empty")
    world.merge()
    tonight = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    for name in ("one", "two"):
        skip(world, f"cat/{name}", "corrupt_file", "quarantined", finished_at=tonight)
    world.merge()
    found = read_morning(world.database, catalog_before(world.database)).troubles
    assert [(trouble.reason, trouble.units) for trouble in found] == [("corrupt_file", 2), ("no_weights", 1)]


def test_a_followed_concept_goes_by_any_name_of_it_and_shows_only_what_surely_has_it(world, build):
    world.add("ann/sure", {"vibrant": 0.4})
    write_result(
        world.results,
        doubtful(build.result(world.item("bob/doubtful"), world.recipe, world.lexicon, {"vibrant": 0.9}), "vibrant"),
    )
    world.merge()
    for word in ("vibrant", "Vibrant", "VIVID"):
        (followed,) = read_morning(world.database, None, (word,)).followed
        assert (followed.known, [best.repo_id for best in followed.best]) == (True, ["ann/sure"])


def test_the_main_reason_is_that_of_most_units_however_many_kinds_of_file_they_are(world):
    for number, kind in enumerate(("lora", "dora", "lokr", "oft")):
        skip(world, f"ann/{number}", "unsupported_base", format=kind, family="qwen_image")
    for number in range(3):
        skip(world, f"bob/{number}", "unsupported_format", format="lora", family="qwen_image")
    world.add("cat/one", {"vibrant": 0.5}, family="pocket")
    world.item("dan/waits")
    world.merge()
    by_family = read_coverage(world.database, "family")
    assert [(group.name, group.units, group.main_reason) for group in by_family] == [
        ("qwen_image", 7, "unsupported_base"),
        ("pocket", 1, None),
        (None, 1, None),
    ]
    assert by_family[1].downloads_without == 0
    by_reason = {group.name: group.main_reason for group in read_coverage(world.database, "reason")}
    assert by_reason == {"unsupported_base": "unsupported_base", "unsupported_format": "unsupported_format", None: None}


# --- strengths


def point(scale, norm=1.0, **projections):
    return {"scale": scale, "norm": norm, "projections": projections}


def test_a_strength_is_for_all_concepts_together_and_never_none_or_less():
    dose = [point(-1.0, a=0.9, b=0.9), point(0.0, a=0.9, b=0.9), point(0.5, a=0.5, b=0.05), point(1.0, a=0.8, b=0.4)]
    assert strength_for(["a"], dose) == Strength(1.0, 1.0)
    assert strength_for(["a", "b"], dose) == Strength(1.0, 1.0)
    assert strength_for(["b"], [*dose, point(2.0, a=0.8, b=0.33)]) == Strength(1.0, 2.0)
    assert strength_for(["a", "c"], dose) is None
    assert strength_for(["a"], [point(1.0, norm=0.0, a=0.5)]) is None


def test_the_best_strength_is_that_of_the_strongest_concept_that_is_sure_and_reached():
    dose = [point(1.0, doubtful=0.9, unreached=0.01, good=0.3)]
    plain = [("good", 0.3, 0.1), ("doubtful", 0.9, 0.0), ("unreached", 0.8, 0.5)]
    assert best_strength(plain, [], dose) == ("good", Strength(1.0, 1.0))
    assert best_strength(plain, [("unreached", 0.9, 0.5)], dose) == ("good", Strength(1.0, 1.0))
    assert best_strength([("doubtful", 0.9, 0.0)], [("good", 0.3, 0.1)], dose) == ("good", Strength(1.0, 1.0))
    assert [measured_with_word(*lows) for lows in (([0.0], [0.1]), ([0.1], [0.1]), ([0.0], [0.0]))] == [
        True,
        False,
        False,
    ]


# --- words that a recipe cannot tell apart, and the section of a model card


def score(concept, value, low, high):
    return ConceptScore(concept=concept, score=value, low=low, high=high, projection=value, alignment=None)


def test_scores_tell_words_apart_only_where_one_interval_lies_above_all_others():
    words = ClusterWords({"r": {name: ("a", "b", "c") for name in "abc"}})
    others = {"a": (0.2, 0.1, 0.3), "c": (0.1, 0.0, 0.2)}
    assert words.named("r", "a", others | {"b": (0.9, 0.31, 1.0)}) == ("b", "a", "c")
    assert words.named("r", "a", others | {"b": (0.9, 0.3, 1.0)}) == ("a", "b", "c")
    assert words.named("r", "a", {}) == ("a", "b", "c")


def test_of_each_cluster_the_highest_score_is_shown_and_no_more_than_asked_for():
    words = ClusterWords({"r": {name: ("a", "b") for name in "ab"}})
    scores = [
        score("a", 0.2, 0.0, 0.9),
        score("b", 0.6, 0.1, 0.9),
        score("c", 0.4, 0.1, 0.5),
        score("d", 0.0, 0.0, 0.1),
    ]
    shown = words.shown(("r", scores))
    assert [(s.concept, s.score) for s in shown] == [("a (or: b)", 0.6), ("c", 0.4)]
    assert words.shown(("r", scores), 1) == shown[:1]


def test_a_section_speaks_of_the_trigger_only_where_the_weights_alone_show_nothing(world, build):
    rich = build.rich(world.item("ann/one"), world.recipe, world.lexicon)
    assert "\nIt makes pictures" in model_card_section(rich, world.recipe, None)
    unsure = tuple(s.model_copy(update={"low": 0.0}) for s in rich.record.scores)
    quiet = Result(rich.record.model_copy(update={"scores": unsure}), rich.arrays)
    assert "\nWith its trigger" in model_card_section(quiet, world.recipe, None)


@pytest.mark.parametrize(("assumed", "distance", "said"), [(True, None, True), (True, 2, False), (False, None, False)])
def test_a_section_says_that_a_base_was_assumed_only_where_nothing_is_known_of_it(
    world, build, assumed, distance, said
):
    made = build.result(
        world.item("ann/one"), world.recipe, world.lexicon, {}, base_assumed=assumed, base_distance=distance
    )
    assert ("assumed: the card names none" in model_card_section(made, world.recipe, None)) is said
