"""Search: rankings with known answers, free phrases through an encoder with a known space, printed SQL."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.catalog import phrase_search
from auditor.catalog.answers import hits_of
from auditor.catalog.reading import run_sql
from auditor.catalog.search import search
from auditor.catalog.sql_texts import literal
from auditor.errors import UserError
from auditor.results.result_file import Result, read_result, write_result


class KnownEncoder:
    """Texts point along the planted directions of the words in them; "pine wood" means foggy, to it."""

    identity = "test-encoder"
    meanings = {"pine wood": "foggy", "sharp edges": "blurry"}  # noqa: RUF012

    def __init__(self, lexicon, vectors):
        self.directions = dict(zip(lexicon.names, vectors, strict=True))
        self.rest = np.full(vectors.shape[1], 0.05)

    def encode_texts(self, texts):
        rows = []
        for text in texts:
            row = self.rest.copy()
            for phrase, concept in self.meanings.items():
                if phrase in text:
                    row = row + 0.3 * self.directions[concept]
            rows.append(row / np.linalg.norm(row))
        return np.asarray(rows, dtype=np.float32)


@pytest.fixture
def find(catalog, build):
    def call(text, k=10, **options):
        return search(
            catalog.database,
            text,
            k,
            encoder=lambda: KnownEncoder(catalog.lexicon, build.vectors(catalog.lexicon)),
            differences=lambda name: read_result(catalog.results / name).arrays["differences"],
            **options,
        )

    return call


def names(answer):
    return [hit.repo_id for hit in answer.hits if hit.band != "near"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("most vibrant watercolor LoRA", ["ann/vivid-paint", "bob/dark-paint", "bob/watercolor"]),
        ("colourful aquarelle", ["ann/vivid-paint", "bob/dark-paint", "bob/watercolor"]),
        ("vibrant watercolor but not dark", ["ann/vivid-paint", "bob/watercolor"]),
        ("most vibrant", ["ann/vibrant", "bob/dark-paint", "ann/vivid-paint", "bob/watercolor"]),
        ("least blurry watercolor", ["cat/sharp", "bob/watercolor", "bob/dark-paint", "ann/vivid-paint"]),
        ("vibrant foggy", []),
    ],
)
def test_known_rankings(find, text, expected):
    assert names(find(text)) == expected


def test_both_concepts_are_needed_and_nothing_else(find):
    """An even mixture comes first, then one with something nobody asked for, then one that is nearly all one thing;
    without one of them an adapter is not listed, however strong the other is."""
    hits = [hit for hit in find("vibrant watercolor").hits if hit.band == "surely"]
    planted = [(0.6, 0.5, 0.0), (0.8, 0.7, 0.5), (0.15, 1.0, 0.0)]  # vibrant, watercolor, dark
    fits = [(vibrant + water) / 2**0.5 / np.hypot(np.hypot(vibrant, water), dark) for vibrant, water, dark in planted]
    assert [hit.fit for hit in hits] == pytest.approx(fits, abs=1e-5)
    assert hits[1].score == pytest.approx((0.8 * 0.7) ** 0.5, abs=1e-6)
    assert hits[1].at_least == pytest.approx((0.7 * 0.6) ** 0.5, abs=1e-6)


def test_a_style_that_the_joint_fit_starves_is_found_by_its_projection(world, build):
    """Two concepts that look alike: the fit gave one of them everything, V points between them all the same."""
    item = world.item("ann/both")
    result = build.result(item, world.recipe, world.lexicon, {"vibrant": 0.6, "watercolor": 0.5})
    starved = tuple(
        s.model_copy(update={"score": 0.0, "low": 0.0}) if s.concept == "watercolor" else s
        for s in result.record.scores
    )
    write_result(world.results, Result(result.record.model_copy(update={"scores": starved}), result.arrays))
    world.add("bob/mostly-vibrant", {"vibrant": 0.9, "watercolor": 0.12})
    world.add("cat/vibrant", {"vibrant": 0.9})
    world.merge()
    hits = search(world.database, "vibrant watercolor").hits
    bands = [(hit.repo_id, hit.band) for hit in hits]
    assert bands == [("bob/mostly-vibrant", "surely"), ("ann/both", "maybe"), ("cat/vibrant", "near")]
    hits = hits[1:]
    assert hits[0].matched[1].score == 0.0 and hits[0].matched[1].projection == pytest.approx(0.5, abs=1e-6)


def test_what_the_joint_fit_gives_nothing_is_surely_not_there(world, build):
    """V of a dark adapter lies some way along a concept that looks alike; "but not" goes by the fit all the same."""
    item = world.item("ann/dark")
    result = build.result(item, world.recipe, world.lexicon, {"dark": 0.9, "blurry": 0.5})
    alike = tuple(
        s.model_copy(update={"score": 0.0, "low": 0.0, "high": 0.0}) if s.concept == "blurry" else s
        for s in result.record.scores
    )
    write_result(world.results, Result(result.record.model_copy(update={"scores": alike}), result.arrays))
    world.add("bob/less-dark", {"dark": 0.4})
    world.add("cat/both", {"dark": 0.9, "blurry": 0.5})
    world.merge()
    hits = search(world.database, "dark but not blurry").hits
    assert [(hit.repo_id, hit.band) for hit in hits] == [("ann/dark", "surely"), ("bob/less-dark", "surely")]


def test_where_nothing_has_the_amount_what_surely_has_the_concept_comes_first(world, build):
    result = build.result(world.item("ann/dark"), world.recipe, world.lexicon, {"dark": 0.9, "blurry": 0.45})
    alike = tuple(
        s.model_copy(update={"score": 0.0, "low": 0.0, "high": 0.0}) if s.concept == "blurry" else s
        for s in result.record.scores
    )
    write_result(world.results, Result(result.record.model_copy(update={"scores": alike}), result.arrays))
    world.add("bob/some-blur", {"blurry": 0.3})
    world.add("cat/less-blur", {"blurry": 0.2})
    world.merge()
    hits = search(world.database, "very blurry").hits
    assert [(hit.repo_id, hit.band) for hit in hits] == [
        ("bob/some-blur", "near"),
        ("cat/less-blur", "near"),
        ("ann/dark", "near"),
    ]


def test_alternatives_rank_by_the_one_that_fits_best(world):
    world.add("ann/even", {"vibrant": 0.5, "watercolor": 0.5})
    world.add("bob/strong-but-more-besides", {"vibrant": 0.7, "dark": 0.7, "blurry": 0.7})
    world.add("cat/other", {"watercolor": 0.9, "dark": 0.9})
    world.merge()
    hits = search(world.database, "vibrant and either watercolor or dark").hits
    assert [hit.repo_id for hit in hits if hit.band == "surely"] == ["ann/even", "bob/strong-but-more-besides"]
    assert [hit.fit for hit in hits[:2]] == pytest.approx([1.0, (1.4 / 2**0.5) / (3 * 0.49) ** 0.5], abs=1e-5)


def test_where_no_interval_vouches_the_direction_ranks_and_not_the_strength(world, build):
    """A strong adapter of another kind lies further along the concept than a weak one that is nothing else."""
    for repo, scores in (("ann/strong", {"dark": 1.0, "blurry": 0.4}), ("bob/weak", {"blurry": 0.3})):
        item = world.item(repo)
        result = build.result(item, world.recipe, world.lexicon, scores)
        starved = tuple(
            s.model_copy(update={"score": 0.0, "low": 0.0}) if s.concept == "blurry" else s
            for s in result.record.scores
        )
        write_result(world.results, Result(result.record.model_copy(update={"scores": starved}), result.arrays))
    world.merge()
    hits = search(world.database, "blurry").hits
    assert [(hit.repo_id, hit.band) for hit in hits] == [("bob/weak", "maybe"), ("ann/strong", "maybe")]
    assert hits[0].matched[0].projection < hits[1].matched[0].projection


def test_a_hit_says_why(find):
    hit = find("most vibrant watercolor LoRA", 1).hits[0]
    assert [(m.term, m.kind) for m in hit.matched] == [("vibrant", "concept"), ("watercolor", "concept")]
    assert hit.matched[0].low == pytest.approx(0.5, abs=1e-6)
    assert (hit.probes, hit.base, hit.license, hit.place) == (12, "pocket", "mit", 1)


@pytest.mark.parametrize("text", ["dark or pine wood", "pine wood or dark", "pine wood or sharp edges"])
def test_no_side_of_an_or_is_left_out_silently(find, text):
    with pytest.raises(UserError, match="is no concept of the lexicon, and cannot stand beside"):
        find(text)


def test_a_free_phrase_without_a_licence_is_warned_of(find):
    assert any("allows nothing" in note for note in find("pine wood, no licence").notes)


def test_filters(find):
    assert len(find("vibrant", license="MIT").hits) == 4
    assert find("vibrant", license="apache-2.0").hits == ()
    assert len(find("vibrant", base="pocket-family").hits) == 4
    for option in ({"base": "'; DROP TABLE scores; --"}, {"license": "no-such"}):
        with pytest.raises(UserError, match=r"not known here; (bases|licences) in this catalog: (pocket|mit)"):
            find("vibrant", **option)


@pytest.mark.parametrize(
    "text", ["vibrant watercolor", "least blurry", "vibrant not dark", "pine wood", "pine wood watercolor"]
)
def test_the_printed_sql_runs_and_finds_the_same(find, catalog, text):
    answer = find(text)
    records = run_sql(catalog.database, answer.sql).records()
    assert {record["repo_id"] for record in records} >= set(names(answer))
    assert answer.sql.rstrip().endswith(";")


def test_words_outside_the_lexicon_are_scored_by_the_encoder(find):
    answer = find("most pine wood LoRA")
    assert names(answer)[0] == "dan/foggy"
    (match,) = answer.hits[0].matched
    assert (match.kind, match.term) == ("phrase", "pine wood")
    assert match.low < match.score < match.high
    assert "pine wood" in answer.notes[0]


def test_concepts_and_phrases_mix(find):
    assert names(find("watercolor, not pine wood"))[0] == "bob/watercolor"
    assert names(find("least sharp edges"))[0] == "cat/sharp"
    assert "dan/foggy" not in names(find("watercolor pine wood"))


def test_a_free_phrase_must_be_there_to_be_found_and_must_not_be_there_to_be_left_out(find):
    assert names(find("pine wood")) == ["dan/foggy"]
    assert names(find("watercolor pine wood")) == []
    left = {hit.repo_id for hit in find("not sharp edges").hits}
    assert "cat/sharp" in left and "cat/blur" not in left


def test_an_interval_that_reaches_below_zero_vouches_for_nothing(world, build):
    """A fit without bounds (`ols`) leaves such intervals."""
    for name, low in (("ann/unsure", -0.2), ("bob/sure", 0.1)):
        result = build.result(world.item(name), world.recipe, world.lexicon, {"vibrant": 0.3, "foggy": 0.5})
        scores = tuple(s.model_copy(update={"low": low}) if s.concept == "vibrant" else s for s in result.record.scores)
        record = result.record.model_copy(update={"scores": scores})
        write_result(world.results, Result(record, result.arrays))
    world.merge()
    answer = search(
        world.database,
        "vibrant pine wood",
        encoder=lambda: KnownEncoder(world.lexicon, build.vectors(world.lexicon)),
        differences=lambda name: read_result(world.results / name).arrays["differences"],
    )
    assert names(answer) == ["bob/sure", "ann/unsure"]
    assert answer.hits[1].at_least == 0.0 < answer.hits[0].at_least


def test_without_result_files_phrases_rank_by_score_and_say_so(catalog, build):
    answer = search(
        catalog.database,
        "pine wood",
        encoder=lambda: KnownEncoder(catalog.lexicon, build.vectors(catalog.lexicon)),
    )
    assert names(answer)[0] == "dan/foggy"
    assert answer.hits[0].matched[0].low is None
    assert any("not at hand" in note for note in answer.notes)


def test_without_an_encoder_unknown_words_are_an_error_with_advice(catalog):
    with pytest.raises(UserError, match=r"'cottage garden'; nearest: .*auditor doctor"):
        search(catalog.database, "most cottage garden")


def test_words_that_mean_no_more_than_random_letters_are_refused(find, monkeypatch):
    asked = []

    def stands_out(connection, side, text, vector, encoder):
        asked.append(text)
        return text != "sharp edges"

    monkeypatch.setattr(phrase_search, "stands_out", stands_out)
    assert names(find("pine wood")) == ["dan/foggy"]
    with pytest.raises(UserError, match=r"'sharp edges'.* no more than random letters do"):
        find("pine wood, sharp edges")
    assert asked == ["pine wood", "pine wood", "sharp edges"]


def test_another_encoder_is_refused(catalog, build):
    encoder = KnownEncoder(catalog.lexicon, build.vectors(catalog.lexicon))
    encoder.identity = "another"
    with pytest.raises(UserError, match="another"):
        search(catalog.database, "pine wood", encoder=lambda: encoder)


def test_similar_and_compare(catalog):
    similar = run_sql(catalog.database, "FROM similar_to('ann/vivid-paint', k := 3)").records()
    assert similar[0]["repo_id"] == "bob/dark-paint"
    assert "ann/vivid-paint" not in {record["repo_id"] for record in similar}
    first = run_sql(catalog.database, "FROM compare('ann/vibrant', 'cat/blur')").records()[0]
    assert (first["concept"], first["distinct_intervals"]) == ("vibrant", True)
    for sql in ("FROM similar_to('no/body')", "FROM compare('no/body', 'cat/blur')"):
        with pytest.raises(UserError, match="no scored adapter"):
            run_sql(catalog.database, sql)


def test_an_unknown_concept_in_a_macro_names_near_ones(catalog):
    with pytest.raises(UserError, match="nearest names are vibrant"):
        run_sql(catalog.database, "FROM most('vibrantt')")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_quoted_text_comes_back_as_it_was(catalog_connection, text):
    clean = text.encode("utf-8", "replace").decode().replace("\0", "")
    assert catalog_connection.execute(f"SELECT {literal(clean)}").fetchone() == (clean,)


@pytest.fixture(scope="module")
def catalog_connection(catalog):
    from auditor.catalog.reading import open_catalog

    connection = open_catalog(catalog.database)
    yield connection
    connection.close()


def test_lists_and_what_is_nothing_are_written_as_sql_and_other_values_are_refused(catalog_connection):
    values = ["it's", 1.5, None, True, ("a", "b")]
    assert literal(values) == "['it''s', 1.5, NULL, true, ['a', 'b']]"
    assert catalog_connection.execute(f"SELECT {literal(['a', None])}").fetchone() == (["a", None],)
    with pytest.raises(TypeError, match="no SQL literal for set"):
        literal({1})


def test_of_a_phrase_only_what_is_shown_is_looked_up(find, monkeypatch):
    """Many get intervals; what else is known of them decides nothing, unless a concept is asked for, too."""
    looked_up = []

    def counted(connection, records, question, words):
        looked_up.append(len(records))
        return hits_of(connection, records, question, words)

    monkeypatch.setattr(phrase_search, "hits_of", counted)
    whole = find("least pine wood").hits
    assert len(whole) > 1
    assert find("least pine wood", 1).hits == whole[:1]
    assert looked_up == [len(whole), 1]
    find("watercolor, pine wood", 1)
    assert looked_up[2] >= looked_up[3] == 1
