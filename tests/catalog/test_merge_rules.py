"""Which audit stands for a unit where several could, what of a result is believed, and what a merge leaves alone."""

import errno
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from auditor.catalog import accounts, merge, publishing, quarantine, result_reading
from auditor.catalog.bulk_insert import Loader, timestamp
from auditor.catalog.merge import MergeInput
from auditor.catalog.publishing import catalog_before
from auditor.catalog.quarantine import in_quarantine, quarantine_folder, set_aside
from auditor.catalog.reading import run_sql
from auditor.catalog.result_rows import _top_concepts, check_result, picture_type
from auditor.lexicons import load_lexicon
from auditor.records.result import ANY_RECIPE, AuditRecord
from auditor.results.result_file import (
    SCORE_COLUMNS,
    CorruptResult,
    PackedResult,
    Result,
    ScoreTable,
    read_packed,
    write_result,
)


def rows(world, sql):
    return run_sql(world.database, sql, None).rows


def failure(world, item, reason, file_sha256, outcome="skipped"):
    record = AuditRecord(
        item=item, file_sha256=file_sha256, recipe_id=ANY_RECIPE, outcome=outcome, reason=reason, message="No.",
        base_name=None,
    )  # fmt: skip
    write_result(world.results, Result(record, {}))


# --- which audit counts


def test_a_score_goes_before_no_effect_and_that_before_any_other_end_whatever_base_is_preferred(world, build):
    other = build.recipe(world.lexicon, base="sdxl")
    quiet = {"outcome": "no_effect", "reason": "no_learned_change"}
    for number in range(12):  # of either kind some have the smaller number
        for repo_id, kinds in ((f"ann/scored-{number}", ({}, quiet)), (f"bob/quiet-{number}", (quiet, None))):
            item = world.item(repo_id, base_name="sdxl")
            first, second = kinds
            write_result(world.results, build.result(item, world.recipe, world.lexicon, {"vibrant": 0.5}, **first))
            if second is None:
                failure(world, item, "unsupported_format", item.file_sha256)
            else:
                write_result(world.results, build.result(item, other, world.lexicon, {}, **second))
    world.merge(recipes=[world.recipe, other])
    found = rows(world, "SELECT split_part(repo_id, '-', 1), outcome, count(*) FROM adapters GROUP BY ALL ORDER BY 1")
    assert found == (("ann/scored", "scored", 12), ("bob/quiet", "no_effect", 12))


def test_of_equal_ends_the_units_own_goes_before_that_of_the_same_bytes(world):
    for number in range(12):
        mine, copy = (world.item(f"{who}/{number}", content=f"bytes {number}") for who in ("ann", "bob"))
        failure(world, mine, "unsupported_base", mine.name_sha256)
        failure(world, copy, "unsupported_format", copy.file_sha256)
    world.merge()
    found = rows(world, "SELECT repo_id[:3], reason, count(*) FROM adapters GROUP BY ALL ORDER BY 1")
    assert found == (("ann", "unsupported_base", 12), ("bob", "unsupported_format", 12))


def test_of_two_recipes_of_a_base_the_preferred_one_counts(world, build):
    other = build.recipe(world.lexicon, seed=5)
    for number in range(6):
        item = world.item(f"ann/{number}")
        for recipe in (world.recipe, other):
            write_result(world.results, build.result(item, recipe, world.lexicon, {"vibrant": 0.5}))
    for recipes in ([world.recipe, other], [other, world.recipe]):
        world.merge(recipes=recipes)
        found = rows(world, "SELECT DISTINCT u.recipe_id FROM adapters JOIN audits u USING (audit_id)")
        assert found == ((recipes[0].recipe_id,),)


def test_other_bytes_than_were_stated_say_nothing_about_copies(world):
    first, second = (world.item(name, content="the same") for name in ("ann/a", "bob/b"))
    failure(world, first, "hash_mismatch", first.file_sha256, "quarantined")
    world.merge()
    assert dict(rows(world, "SELECT repo_id, outcome FROM adapters")) == {
        first.repo_id: "quarantined",
        second.repo_id: "pending",
    }


def test_a_repo_that_is_listed_twice_counts_once_as_it_was_met_first(world):
    world.add("ann/one", {"vibrant": 0.5})
    twice = [*world.repos, *(world.repos[0].__class__("ann/one", "a" * 40, license="other") for _ in range(2))]
    assert world.merge(repos=lambda: iter(twice)).reconciles
    assert rows(world, "SELECT repo_id, license FROM adapters") == (("ann/one", "mit"),)


# --- what is carried over, set aside or left alone


def test_rows_are_made_otherwise_with_another_lexicon_or_number_of_pictures(world, lexicon):
    def row_format(**changes):
        values = {
            "results_folder": world.results, "recipes": [], "lexicon": lexicon, "repos": list, "items": [],
            "settled": [],
        }  # fmt: skip
        return MergeInput(**(values | changes)).row_format

    assert row_format() == row_format(settled=[None])
    assert len({row_format(), row_format(max_pairs=1), row_format(lexicon=load_lexicon("general-1"))}) == 3


def test_the_newest_run_says_how_the_rows_of_a_catalog_were_made(world):
    world.add("ann/one", {"vibrant": 0.5})
    world.merge(max_pairs=1)
    assert world.merge(max_pairs=2).carried == 0
    assert world.merge(max_pairs=2).carried == 1


def test_a_bad_result_that_a_worker_has_replaced_meanwhile_is_not_set_aside(world, monkeypatch):
    path = world.add("ann/one", {"vibrant": 0.5})
    good = path.read_bytes()
    path.write_bytes(good[:-7])
    real = merge.read_blocks

    def replaced_meanwhile(*arguments):
        for block in real(*arguments):
            path.write_bytes(good)
            yield block

    monkeypatch.setattr(merge, "read_blocks", replaced_meanwhile)
    report = world.merge()
    assert (report.rejected, report.pending) == ((), 1) and path.read_bytes() == good
    monkeypatch.undo()
    assert world.merge().pending == 0


def test_a_result_that_the_disk_does_not_give_stays_where_it_is(world, monkeypatch):
    world.add("ann/one", {"vibrant": 0.5})
    path = world.add("ann/two", {"vibrant": 0.5})
    real = result_reading.read_packed

    def failing(place):
        if place.name != path.name:
            return real(place)
        raise CorruptResult("it cannot be read") from OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(result_reading, "read_packed", failing)
    report = world.merge()
    assert (report.unreadable, report.rejected, report.pending) == (1, (), 1) and path.exists()


def test_what_a_worker_is_still_writing_is_no_result(world):
    path = world.add("ann/one", {"vibrant": 0.5})
    path.with_name(f".{path.name}").write_bytes(b"half")
    path.with_name("notes.txt").write_bytes(b"not a result")
    assert world.merge().rejected == ()


def test_the_reason_lies_there_before_the_file_that_it_explains(world, monkeypatch):
    path = world.add("ann/one", {"vibrant": 0.5})
    aside = quarantine_folder(world.results)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(quarantine.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            set_aside(path, aside, "cut short")
    assert [(name, why) for name, why, _ in in_quarantine(aside)] == [(path.name, "cut short")] and path.exists()
    set_aside(path.with_name("gone"), aside, "replaced meanwhile")  # which is no trouble


def test_without_hard_links_there_is_no_catalog_before_and_never_an_older_one(world, monkeypatch):
    world.merge()
    world.merge()
    assert catalog_before(world.database).exists()

    def refused(*_):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(publishing.os, "link", refused)
    world.merge()
    assert not catalog_before(world.database).exists() and world.database.exists()


@pytest.mark.parametrize("damage", ["DELETE FROM scores WHERE concept = 'dark'", "UPDATE adapters SET audit_id = 99"])
def test_counts_reconcile_only_if_every_score_is_there_and_every_reference_leads_somewhere(world, damage):
    world.add("ann/one", {"vibrant": 0.5})
    assert world.merge().reconciles
    with duckdb.connect(str(world.database)) as connection:
        assert accounts._sound(connection, world.lexicon)
        connection.execute(damage)
        assert not accounts._sound(connection, world.lexicon)


# --- what is believed of a result


@pytest.fixture
def packed(world):
    return read_packed(world.add("ann/one", {"vibrant": 0.5}))


def check(world, packed, recipe=True, **changes):
    made = PackedResult(**{**vars(packed), **changes})
    name = f"ab/{made.record.file_sha256}.{made.record.recipe_id}.safetensors"
    check_result(name, made, world.recipe if recipe else None, world.lexicon.names)


def test_a_score_needs_its_recipe_divergence_effect_and_table(world, packed):
    check(world, packed)
    without = {
        "outcome scored without": [
            {"arrays": {}},
            {"record": packed.record.model_copy(update={"effect": None})},
            {"scores": None},
        ],
        "scores without a recipe": [{"recipe": False}],
    }
    for said, cases in without.items():
        for changes in cases:
            with pytest.raises(CorruptResult, match=said):
                check(world, packed, **changes)
    with pytest.raises(CorruptResult, match="outcome scored without a recipe"):
        check(world, packed, recipe=False, scores=None)


def test_a_divergence_is_one_vector(world, packed):
    with pytest.raises(CorruptResult, match="not one vector"):
        check(world, packed, arrays={"divergence": packed.arrays["divergence"][None]})


@pytest.mark.parametrize(("column", "value", "believed"), [(4, np.nan, True), (4, 1e30, False), (0, np.nan, False)])
def test_what_may_be_missing_is_believed_without_a_value_and_never_with_an_absurd_one(
    world, packed, column, value, believed
):
    values = packed.scores.values.copy()
    values[3, column] = value
    changed = {"trigger_scores": ScoreTable(packed.scores.names, values)}
    if believed:
        check(world, packed, **changed)
    else:
        with pytest.raises(CorruptResult, match="out of all proportion"):
            check(world, packed, **changed)


def test_the_strongest_concepts_are_those_surely_there_and_equal_ones_keep_the_order_of_the_lexicon():
    values = np.full((12, len(SCORE_COLUMNS)), np.nan)
    values[:, :3] = [0.5, 0.4, 0.6]
    values[2, :3], values[5, :3] = [0.9, 0.0, 1.0], [0.8, 0.1, 0.9]
    made = _top_concepts(ScoreTable(tuple("abcdefghijkl"), values))
    assert [row["concept"] for row in made] == ["f", "a", "b", "d", "e", "g", "h", "i"]
    assert _top_concepts(None) == []


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"RIFF\0\0\0\0WEBPrest", "image/webp"),
        (b"RIFF\0\0\0\0WAVErest", None),
        (b"XXXX\0\0\0\0WEBPrest", None),
        (b"", None),
    ],
)
def test_a_picture_is_known_by_its_first_bytes(first, kind):
    assert picture_type(first) == kind


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2024-05-01T02:00:00+02:00", datetime(2024, 5, 1)),
        ("2024-05-01T02:00:00", datetime(2024, 5, 1, 2)),
        ("0001-01-01T00:00:00+10:00", None),
        ("last year", None),
        ("", None),
        (None, None),
    ],
)
def test_any_text_is_a_time_in_utc_or_none(text, told):
    assert timestamp(text) == told


def test_what_is_queued_is_inserted_together_or_not_at_all():
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER)")
        loader = Loader(connection)
        loader.add("a", 1)
        loader.add("b", "no number")
        with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
            loader.flush()
        assert connection.execute("SELECT count(*) FROM a").fetchall() == [(0,)]
        connection.execute("BEGIN")  # nothing is left open
