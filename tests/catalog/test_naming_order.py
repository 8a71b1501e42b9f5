"""What names an adapter comes first in the catalog, on its card and in its pages."""

from __future__ import annotations

import hashlib
import json

import duckdb
import numpy as np

from auditor.catalog.adapter_cards import read_cards
from auditor.catalog.cluster_words import ClusterWords
from auditor.catalog.explain_page import explain_table
from auditor.catalog.export.bundle import annotate
from auditor.catalog.result_rows import TOP_CONCEPTS, _top_concepts
from auditor.catalog.search import search
from auditor.records.result import ConceptScore
from auditor.results.result_file import SCORE_COLUMNS, Result, ScoreTable, write_result


def table(*rows: tuple[str, float, float, float | None]) -> ScoreTable:
    """Of name, score, lower end, place."""
    values = np.full((len(rows), len(SCORE_COLUMNS)), np.nan)
    for row, (_, score, low, place) in zip(values, rows, strict=True):
        row[:3] = score, low, score + 0.1
        row[-1] = np.nan if place is None else place
    return ScoreTable(tuple(name for name, *_ in rows), values)


def names(scores: ScoreTable) -> list[object]:
    return [row["concept"] for row in _top_concepts(scores)]


def test_places_go_before_scores() -> None:
    found = table(("large", 0.9, 0.5, None), ("dark", 0.4, 0.2, 2), ("warm", 0.6, 0.3, 3), ("foggy", 0.3, 0.1, 1))
    assert names(found) == ["foggy", "dark", "warm", "large"]


def test_what_names_an_adapter_is_listed_though_its_interval_reaches_0_and_nothing_else_is() -> None:
    found = table(("dark", 0.4, 0.0, 2), ("foggy", 0.3, 0.0, 1), ("warm", 0.6, 0.3, 3))
    assert names(found) == ["foggy", "warm"]


def test_without_places_the_surest_scores_are_listed_highest_first() -> None:
    found = table(
        ("dark", 0.4, 0.2, None), ("warm", 0.6, 0.3, None), ("foggy", 0.7, 0.0, None), ("cool", 0.6, 0.1, None)
    )
    assert names(found) == ["warm", "cool", "dark"]


def test_no_more_are_listed_than_fit() -> None:
    assert len(names(table(*((f"c{i}", 1.0, 0.5, None) for i in range(20))))) == TOP_CONCEPTS


def test_records_sort_by_place_then_score() -> None:
    def one(name: str, score: float, place: int | None) -> ConceptScore:
        return ConceptScore(concept=name, score=score, low=0, high=1, projection=0, alignment=None, place=place)

    rows = [one("a", 0.9, None), one("b", 0.2, 2), one("c", 0.5, None), one("d", 0.1, 1), one("e", 0.7, None)]
    assert [row.concept for row in sorted(rows, key=lambda row: row.naming_key)] == ["d", "b", "a", "e", "c"]


def test_cards_tables_and_clusters_go_by_the_place(world, build) -> None:
    made = build.result(world.item("ann/two"), world.recipe, world.lexicon, {"vibrant": 0.8, "watercolor": 0.4})
    places = {"watercolor": 1, "vibrant": 2}
    scores = tuple(s.model_copy(update={"place": places.get(s.concept)}) for s in made.record.scores)
    effect = made.record.effect.model_copy(update={"named_share": 0.25})
    placed = Result(made.record.model_copy(update={"scores": scores, "effect": effect}), made.arrays)
    write_result(world.results, placed)
    world.merge()
    (card,) = read_cards(world.database, "ann/two")
    assert [row["concept"] for row in card.scores] == ["watercolor", "vibrant"]
    assert card.card["concepts"] == "watercolor 0.40, vibrant 0.80"
    assert [row[0] for row in explain_table(placed, limit=2)] == ["watercolor", "vibrant"]
    assert [s.concept for s in ClusterWords().shown((world.recipe.recipe_id, scores))] == ["watercolor", "vibrant"]
    with duckdb.connect(str(world.database), read_only=True) as connection:
        stored = connection.execute(
            "SELECT concept, place FROM scores WHERE place IS NOT NULL ORDER BY place"
        ).fetchall()
        assert stored == [("watercolor", 1), ("vibrant", 2)]
        assert connection.execute("SELECT named_share FROM audits").fetchall() == [(0.25,)]


def placed(scores: tuple[ConceptScore, ...]) -> tuple[ConceptScore, ...]:
    places = {"watercolor": 1, "vibrant": 2}
    return tuple(s.model_copy(update={"place": places.get(s.concept)}) for s in scores)


def test_what_else_an_answer_does_goes_by_the_place(world, build) -> None:
    scores = {"vibrant": 0.8, "watercolor": 0.4, "dark": 0.6}
    made = build.result(world.item("ann/two"), world.recipe, world.lexicon, scores)
    record = made.record.model_copy(update={"scores": placed(made.record.scores)})
    write_result(world.results, Result(record, made.arrays))
    world.merge()
    (hit,) = search(world.database, "dark").hits
    assert hit.side_effects == ("watercolor", "vibrant")


def test_a_sidecar_of_what_acts_with_its_trigger_only_goes_by_the_place(world, build, tmp_path) -> None:
    item = world.item("ann/two", file_sha256=hashlib.sha256(b"known").hexdigest(), trigger="sks")
    arms = build.rich(item, world.recipe, world.lexicon).record.arms
    arms = arms.model_copy(update={"scores": placed(arms.scores)})
    write_result(world.results, build.result(item, world.recipe, world.lexicon, {}, arms=arms))
    world.merge()
    (tmp_path / "a.safetensors").write_bytes(b"known")
    annotate(world.database, tmp_path)
    made = json.loads((tmp_path / "a.metadata.json").read_text())
    assert made["tags"][:2] == ["watercolor", "vibrant"]
