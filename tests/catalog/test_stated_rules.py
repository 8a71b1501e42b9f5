"""Rules of the questions' SQL and of free phrases, each where leaving it out would change the answer."""

import duckdb
import numpy as np
import pytest

from auditor.catalog.phrases import phrase_directions, stands_out, text_sides
from auditor.catalog.reading import reading_catalog, run_sql
from auditor.results.result_file import write_result


def found(world, sql):
    return [record["repo_id"] for record in run_sql(world.database, sql).records()]


def changed(world, build, repo_id, strengths, change):
    """An adapter with the scores of `strengths` whose pictures moved by `change` times what those say."""
    made = build.result(world.item(repo_id), world.recipe, world.lexicon, strengths)
    made.arrays["divergence"] = (change * made.arrays["divergence"]).astype(np.float32)
    write_result(world.results, made)


def test_an_adapter_that_moves_against_the_words_together_is_not_listed(world, build):
    """Both words reach a tenth by their scores; the change itself points away from their sum."""
    world.add("ann/both", {"vibrant": 0.5, "watercolor": 0.5})
    changed(world, build, "bob/against", {"vibrant": 0.5, "watercolor": 0.5}, -1.0)
    world.merge()
    assert found(world, "FROM most('vibrant', 'watercolor')") == ["ann/both"]


def test_a_faint_concept_does_not_count_as_had(world):
    world.add("ann/both", {"vibrant": 0.5, "watercolor": 0.5})
    world.add("bob/faint", {"vibrant": 0.9, "watercolor": 0.09})
    world.add("cat/just", {"vibrant": 0.9, "watercolor": 0.11})
    world.merge()
    assert found(world, "FROM most('vibrant', 'watercolor')") == ["ann/both", "cat/just"]


def test_beside_least_a_wanted_concept_must_be_more_than_faint(world):
    world.add("ann/clear", {"watercolor": 0.3, "blurry": -0.6})
    world.add("bob/faint", {"watercolor": 0.08, "blurry": -0.9})
    world.merge()
    assert found(world, "FROM most_of(['watercolor'], least := ['blurry'])") == ["ann/clear"]
    assert set(found(world, "FROM most_of(['watercolor'])")) == {"ann/clear", "bob/faint"}


def test_what_was_not_wanted_is_no_evidence_for_a_match(catalog):
    rows = run_sql(catalog.database, "FROM most_of(['vibrant'], without := ['dark'], least := ['blurry'])").records()
    assert rows
    for row in rows:
        assert {match["concept"] for match in row["matched"]} == {"vibrant", "blurry"}


@pytest.mark.parametrize(("first", "second"), [("ann/vibrant", "cat/blur"), ("cat/blur", "ann/vibrant")])
def test_intervals_are_distinct_whichever_adapter_is_named_first(catalog, first, second):
    rows = {row["concept"]: row for row in run_sql(catalog.database, f"FROM compare('{first}', '{second}')").records()}
    assert rows["vibrant"]["distinct_intervals"] and rows["blurry"]["distinct_intervals"]
    assert not rows["foggy"]["distinct_intervals"]


def test_a_fit_without_a_direction_is_null_and_never_nan(world, build):
    """An adapter whose V is zero has no cosine with anything; a NaN would be sorted before every number."""
    changed(world, build, "ann/zero", {"vibrant": 0.9, "watercolor": 0.9}, 0.0)
    world.add("bob/both", {"vibrant": 0.5, "watercolor": 0.5})
    world.merge()
    rows = run_sql(world.database, "FROM most('vibrant', 'watercolor')").records()
    assert [row["repo_id"] for row in rows] == ["bob/both", "ann/zero"]
    assert rows[0]["fit"] == pytest.approx(1.0) and rows[1]["fit"] is None


def test_vectors_of_some_of_the_words_are_not_taken_for_those_of_all(world):
    """A recipe that knows two of three words has no direction of the three together, so no fit with it."""
    world.add("ann/all", {"vibrant": 0.5, "dark": 0.5, "watercolor": 0.5})
    world.merge()
    asked = "FROM most_of(['vibrant', 'dark', 'watercolor'])"
    assert run_sql(world.database, asked).records()[0]["fit"] == pytest.approx(1.0, abs=1e-3)
    with duckdb.connect(str(world.database)) as connection:
        connection.execute("DELETE FROM concept_vectors WHERE concept = 'watercolor'")
    (row,) = run_sql(world.database, asked).records()
    assert row["fit"] is None and row["score"] == pytest.approx(0.5)


class PlainEncoder:
    """Every text that holds a word moves along that word's axis, and any appended text along the last one."""

    identity = "test-encoder"

    def __init__(self, dimension=48):
        self.dimension = dimension

    def encode_texts(self, texts):
        rows = np.zeros((len(texts), self.dimension), np.float32)
        rows[:, 0] = 1.0
        for row, text in zip(rows, texts, strict=True):
            row[5] += 0.4 * ("pine" in text)
            row[-1] += 0.3 * text.count(",")  # the template appends by a comma
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("solver", "removed"), [("mean", True), ("null", True), ("none", False)])
def test_what_any_appended_text_adds_is_taken_off_unless_the_recipe_keeps_it(world, build, solver, removed):
    world.recipe = build.recipe(world.lexicon, solver={"variant": "robust", "common": solver})
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge()
    with reading_catalog(world.database) as connection:
        (side,) = text_sides(connection)
        (vector,) = phrase_directions(connection, side, ["pine"], PlainEncoder())
    assert side.remove_common is removed
    assert vector[5] > 0.1
    assert bool(abs(vector[-1]) < 0.02) is removed
    assert removed or vector[-1] > 0.1


def test_the_stored_common_direction_goes_before_that_of_neutral_words(world, build):
    """The catalog holds what the shared basis took off; neutral words stand in only where it holds nothing."""
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge()
    stored = np.zeros(48)
    stored[5] = 1.0
    with duckdb.connect(str(world.database)) as connection:
        columns = [row[0] for row in connection.execute("DESCRIBE common_directions").fetchall()]
        assert set(columns) == {"recipe_id", "position", "direction"}
        connection.execute(
            "INSERT INTO common_directions (recipe_id, position, direction) VALUES (?, 0, ?)",
            [world.recipe.recipe_id, stored.tolist()],
        )
    with reading_catalog(world.database) as connection:
        (side,) = text_sides(connection)
        (vector,) = phrase_directions(connection, side, ["pine"], PlainEncoder())
    assert abs(vector[5]) < 1e-6 < 0.05 < vector[-1]


class LettersEncoder:
    """Each appended text moves along an axis of its own, by its first letters; "vibrant" along that of the concept."""

    identity = "test-encoder"

    def __init__(self, axis):
        self.axis = axis / np.linalg.norm(axis)

    def encode_texts(self, texts):
        rows = np.zeros((len(texts), len(self.axis)))
        for row, text in zip(rows, texts, strict=True):
            prompt, _, added = text.partition(", ")
            row[:] = np.random.default_rng(len(prompt)).normal(size=len(row)) / 7.0
            if added:
                own = np.random.default_rng(list(added.encode())).normal(size=len(row))
                row += 0.2 * (self.axis if added == "glow" else own / np.linalg.norm(own))
        return rows


@pytest.mark.parametrize(("phrase", "found"), [("glow", True), ("nonsense", False)])
def test_a_phrase_stands_out_when_an_adapter_goes_its_way_further_than_any_goes_that_of_random_letters(
    world, build, tmp_path, monkeypatch, phrase, found
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    world.recipe = build.recipe(world.lexicon, solver={"variant": "robust", "common": "none"})
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.add("bob/watercolor", {"watercolor": 0.9})
    world.merge()
    encoder = LettersEncoder(build.vectors(world.lexicon)[world.lexicon.names.index("vibrant")])
    with reading_catalog(world.database) as connection:
        (side,) = text_sides(connection)
        (vector,) = phrase_directions(connection, side, [phrase], encoder)
        assert stands_out(connection, side, phrase, vector, encoder) is found
