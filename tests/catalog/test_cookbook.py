"""The questions of docs/cookbook.md run as they stand, and the views count copies once."""

import re
from pathlib import Path

import pytest

from auditor.catalog.reading import run_sql
from auditor.results.result_file import Result, write_result

COOKBOOK = (Path(__file__).resolve().parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^(\d+)\. (.+)\n\n {7,8}(.+)$", COOKBOOK, re.MULTILINE)
EMPTY_HERE = {"2", "6", "10", "18", "22", "23", "25"}
"""Questions that have no answer in the planted catalog."""


def test_there_are_twenty_five():
    assert [number for number, _, _ in QUESTIONS] == [str(n) for n in range(1, 26)]


@pytest.mark.parametrize(("number", "title", "sql"), QUESTIONS)
def test_each_runs_and_finds_something(catalog, number, title, sql):
    assert bool(run_sql(catalog.database, sql).rows) != (number in EMPTY_HERE), title


def test_views_count_copies_once_and_know_triggers(world, build):
    rich = build.rich(world.item("ann/one"), world.recipe, world.lexicon)
    write_result(world.results, rich)
    world.item("bob/copy", content="ann/one")
    world.merge()
    count = "SELECT count(*) FROM distinct_adapters"
    assert run_sql(world.database, count).rows == ((1,),)
    arms = run_sql(world.database, "SELECT arm, count(*) FROM named_scores GROUP BY arm ORDER BY arm").rows
    assert arms == (("trigger", len(world.lexicon.names)), ("weights", len(world.lexicon.names)))
    listed = "SELECT repo_id FROM distinct_adapters WHERE list_contains(top_concepts, 'vibrant')"
    assert len(run_sql(world.database, listed).rows) == 1


def test_most_takes_six_concepts_and_sees_triggers(world, build):
    item = world.item("ann/quiet", trigger="sks")
    rich = build.rich(item, world.recipe, world.lexicon)
    quiet = build.result(item, world.recipe, world.lexicon, {"foggy": 0.3})
    record = quiet.record.model_copy(update={"arms": rich.record.arms})
    write_result(world.results, Result(record, quiet.arrays))
    world.add("bob/six", {"vibrant": 0.3, "watercolor": 0.3, "dark": 0.3, "foggy": 0.3, "blurry": 0.3, "striped": 0.3})
    world.merge()
    rows = run_sql(world.database, "SELECT repo_id, with_trigger FROM most('vibrant')").rows
    assert rows == (("ann/quiet", True), ("bob/six", False))
    six = "SELECT repo_id FROM most('vibrant', 'watercolor', 'dark', 'foggy', 'blurry', 'striped')"
    assert run_sql(world.database, six).rows == (("bob/six",),)
