"""Several concepts rank by the cosine of V with their sum; V is read of the few whose place stored numbers leave open.

The plain form reads V of all: the same query with everything left open.
"""

import json
from contextlib import closing

import duckdb
import numpy as np
import pytest

from auditor.catalog import pointing_sql
from auditor.catalog.evidence_sql import _NARROW
from auditor.catalog.reference_rows import BasisVectors
from auditor.catalog.search import search
from auditor.results.result_file import Result, write_result

QUESTIONS = [
    "vibrant watercolor",
    "vibrant watercolor but not dark",
    "vibrant or foggy, watercolor or blurry",
    "vibrant watercolor blurry foggy",
    "least dark vibrant watercolor",
    "most popular vibrant watercolor",
    "slightly vibrant watercolor",
    "vibrant > 0.3, watercolor < 0.5",
    "vibrant",
    "vibrant or watercolor",
    "vibrant watercolor for pocket",
]


def planted(world, build, random, number, directions):
    """An adapter somewhere between the concepts; scores and intervals at random, the weight alone as V has it."""
    item = world.item(f"ann/a{number:03}", content=f"file {number // 2 if number % 9 == 0 else number}")
    vector = np.abs(random.normal(size=len(directions))) ** 2 @ directions * 0.3
    vector += random.normal(scale=0.02, size=len(vector))
    made = build.result(item, world.recipe, world.lexicon, {}, outcome="scored")
    alone = directions @ vector / (directions**2).sum(axis=1)
    scores = tuple(
        s.model_copy(
            update={
                "projection": float(weight),
                "score": max(float(weight), 0.0) * float(random.choice([0, 1])),
                "low": max(float(weight) - 0.05, 0.0) * float(random.uniform() < 0.8),
                "high": abs(float(weight)) + 0.1,
            }
        )
        for s, weight in zip(made.record.scores, alone, strict=True)
    )
    effect = made.record.effect.model_copy(update={"norm": float(np.linalg.norm(vector))})
    record = made.record.model_copy(update={"scores": scores, "effect": effect})
    if number % 11 == 0:
        arms = build.rich(item, world.recipe, world.lexicon).record.arms
        worded = tuple(s.model_copy(update={"low": s.projection / 2 if s.projection > 0 else 0.0}) for s in scores)
        record = record.model_copy(update={"arms": arms.model_copy(update={"scores": worded})})
    return Result(record, {**made.arrays, "divergence": vector.astype(np.float32)})


def filled(build, folder, lexicon, seed, adapters=90, wrong=1.0, **recipe):
    """A catalog of random adapters whose concepts lie askew and have different lengths."""
    world, random = build.world(folder, lexicon, build.recipe(lexicon, **recipe)), np.random.default_rng(seed)
    directions = random.normal(size=(len(lexicon.names), 48)) * random.uniform(0.1, 0.6, size=(len(lexicon.names), 1))
    for number in range(adapters):
        result = planted(world, build, random, number, directions)
        scores = tuple(
            s.model_copy(update={"projection": s.projection * float(random.uniform(1 / wrong, wrong))})
            for s in result.record.scores
        )
        write_result(world.results, Result(result.record.model_copy(update={"scores": scores}), result.arrays))
    basis = BasisVectors(lexicon.names, directions, np.zeros((0, 48)), clusters=np.arange(len(lexicon.names)))
    assert world.merge(basis_vectors={world.recipe.recipe_id: basis}).reconciles
    return world


@pytest.fixture(scope="module", params=[1, 2])
def random_catalog(request, build, lexicon, tmp_path_factory):
    return filled(build, tmp_path_factory.mktemp("random"), lexicon, request.param).database


def answers(database, k):
    return [(question, search(database, question, k).hits) for question in QUESTIONS]


@pytest.mark.parametrize("k", [1, 4, 10])
def test_the_answer_is_that_of_reading_every_v(random_catalog, k, monkeypatch):
    found = answers(random_catalog, k)
    monkeypatch.setattr(pointing_sql, "LEFT_OPEN", 10.0)
    assert found == answers(random_catalog, k)
    assert all(hits for _, hits in found)


@pytest.mark.parametrize("basis", ["stacked", "either"])
def test_of_concepts_with_two_directions_only_v_tells(build, lexicon, tmp_path, basis, monkeypatch):
    """Their weight is not that on the direction which the catalog holds."""
    world = filled(build, tmp_path, lexicon, 3, 40, wrong=2.0, solver={"variant": "robust", "basis": basis})
    found = answers(world.database, 3)
    monkeypatch.setattr(pointing_sql, "LEFT_OPEN", 10.0)
    assert found == answers(world.database, 3)


def rows_of(database, sql, table):
    """How many rows a table of a query's WITH has."""
    before, pointed, _ = sql.partition(", pointed AS (")
    assert pointed
    with closing(duckdb.connect(str(database), read_only=True)) as connection:
        return connection.execute(f"{before} SELECT count(*) FROM {table}").fetchall()[0][0]


def test_v_is_read_of_a_few(random_catalog):
    sql = search(random_catalog, "vibrant watercolor", 3).sql
    assert rows_of(random_catalog, sql, "tied") > 6
    assert 3 <= rows_of(random_catalog, sql, "open") <= 5


def scans(node, table):
    """The columns of each scan of a table, in a plan."""
    here = node.get("extra_info", {})
    if str(here.get("Table", "")).split(".")[-1].strip('"') == table:
        columns = here["Projections"]
        yield set(columns if isinstance(columns, list) else [columns])
    for child in node.get("children", []):
        yield from scans(child, table)


def test_columns_that_decide_no_place_are_read_for_the_answer_alone(random_catalog):
    """Of all adapters few columns are read; a second scan, of the answer's rows, has the others."""
    sql = search(random_catalog, "vibrant watercolor", 3).sql
    with closing(duckdb.connect(str(random_catalog), read_only=True)) as connection:
        plan = json.loads(connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()[0][1])
    of_all, of_answer = sorted((columns for node in plan for columns in scans(node, "adapters")), key=len)
    assert of_all <= {*_NARROW, "outcome"}
    assert of_answer > of_all
    assert sum("divergence" in columns for node in plan for columns in scans(node, "audits")) == 1
