"""Merge: counts, duplicates, damage, repetition, and what uploaders write."""

from contextlib import closing

import numpy as np
import pytest

from auditor.catalog.reading import open_catalog, run_sql
from auditor.errors import UserError
from auditor.lexicons import load_lexicon
from auditor.records.listing import ListedRepo, SettledItem
from auditor.records.proposals import ProposedPhrase
from auditor.records.result import ANY_RECIPE, AuditRecord
from auditor.results.result_file import Result, write_result

HOSTILE = (
    "'; DROP TABLE adapters; --",
    "<script>alert(1)</script>",
    "\x1b[2J\x1b]0;title\x07",
    "$(touch x) `id` %n -rf",
    "\u202eevil\u202c",
    "a\0b",
    "\ud800",
    "=HYPERLINK(1)",
    "x" * 100_000,
)


def rows(world, sql):
    return run_sql(world.database, sql, None).rows


def test_counts_reconcile(catalog):
    found = dict(rows(catalog, "SELECT outcome, sum(units) FROM outcome_counts GROUP BY 1"))
    assert found == {"scored": 7, "no_effect": 1, "skipped": 1}
    ((listed, parts),) = rows(catalog, "SELECT listed, scored + no_effect + skipped + pending FROM runs")
    assert listed == parts == 9
    assert rows(catalog, "SELECT count(*) FROM scores") == ((8 * len(catalog.lexicon.names),),)


def test_a_unit_without_a_result_is_pending(world):
    world.add("ann/one", {"vibrant": 0.5})
    world.item("ann/two")
    report = world.merge()
    assert (report.listed, report.outcomes["scored"], report.pending, report.reconciles) == (2, 1, 1, True)
    assert rows(world, "SELECT outcome, audit_id FROM adapters WHERE repo_id = 'ann/two'") == (("pending", None),)


def test_equal_bytes_are_audited_once_and_referenced_fifty_times(world, build):
    for number in range(50):
        item = world.item(f"copier/{number:02d}", content="the same bytes")
    write_result(world.results, build.result(world.items[0], world.recipe, world.lexicon, {"vibrant": 0.7}))
    report = world.merge()
    assert (report.listed, report.outcomes["scored"], report.audits, report.reconciles) == (50, 50, 1, True)
    assert rows(world, "SELECT count(*), count(DISTINCT audit_id), min(copies) FROM adapters") == ((50, 1, 50),)
    # One row in a ranking, under the most downloaded name.
    assert rows(world, "SELECT repo_id, copies FROM most('vibrant')") == ((item.repo_id, 50),)


def test_a_hash_learned_by_the_audit_links_the_result(world, build):
    """The plan did not know the hash; the result names the unit it was made for."""
    item = world.item("ann/unhashed", file_sha256=None)
    fetched = item.model_copy(update={"file_sha256": build.sha("bytes")})
    write_result(world.results, build.result(fetched, world.recipe, world.lexicon, {"vibrant": 0.5}))
    twin = world.item("bob/unhashed", file_sha256=None)
    key = (twin.repo_id, twin.commit_sha, twin.path)
    assert world.merge().pending == 1
    report = world.merge(known_hashes={key: build.sha("bytes")})
    assert (report.pending, report.outcomes["scored"]) == (0, 2)


def failure(world, item, outcome, reason, file_sha256):
    record = AuditRecord(
        item=item,
        file_sha256=file_sha256,
        recipe_id=ANY_RECIPE,
        outcome=outcome,
        reason=reason,
        message="No.",
        base_name=None,
    )
    write_result(world.results, Result(record, {}))


def test_what_is_wrong_with_bytes_holds_for_all_copies_but_an_absence_does_not(world):
    first, second = world.item("ann/a", content="bad"), world.item("bob/b", content="bad")
    failure(world, first, "quarantined", "nonfinite_weights", first.file_sha256)
    third, fourth = world.item("ann/c", content="good"), world.item("bob/d", content="good")
    failure(world, third, "gone", "file_gone", third.file_sha256)
    nameless = world.item("cat/e", file_sha256=None)
    failure(world, nameless, "gone", "repo_gone", nameless.name_sha256)
    report = world.merge()
    found = dict(rows(world, "SELECT repo_id, outcome FROM adapters"))
    assert found == {
        first.repo_id: "quarantined",
        second.repo_id: "quarantined",
        third.repo_id: "gone",
        fourth.repo_id: "pending",
        nameless.repo_id: "gone",
    }
    assert report.reconciles
    assert rows(world, "SELECT file_sha256 FROM adapters WHERE repo_id = 'cat/e'") == ((None,),)


@pytest.mark.parametrize("reason", ["download_failed", "internal_error", "base_unavailable"])
def test_a_failure_that_passes_gives_way_to_what_was_found_out_later(world, reason):
    for number in range(24):  # of either kind, some have the smaller hash
        item = world.item(f"ann/{number}")
        failure(world, item, "failed", reason, item.name_sha256)
        failure(world, item, "skipped", "unsupported_format", item.file_sha256)
    alone = world.item("bob/alone")
    failure(world, alone, "failed", reason, alone.name_sha256)
    assert world.merge().reconciles
    assert rows(world, "SELECT reason, count(*) FROM adapters GROUP BY 1 ORDER BY 2") == (
        (reason, 1),
        ("unsupported_format", 24),
    )


def test_the_better_audit_and_the_claimed_base_are_preferred(world, build):
    other = build.recipe(world.lexicon, base="sdxl")
    item = world.item("ann/two-bases", base_name="sdxl")
    for recipe, strength in ((world.recipe, 0.9), (other, 0.4)):
        write_result(world.results, build.result(item, recipe, world.lexicon, {"vibrant": strength}))
    assert world.merge(recipes=[world.recipe, other]).audits == 2
    assert rows(world, "SELECT base FROM lora_card") == (("sdxl",),)
    assert rows(world, "SELECT repo_id FROM most('vibrant', base := 'SDXL-family')") == (("ann/two-bases",),)
    assert rows(world, "FROM most('vibrant', base := 'pocket')") == ()


def test_damaged_results_are_set_aside_with_a_reason(world):
    good = world.add("ann/good", {"vibrant": 0.5})
    cut, altered = world.add("ann/cut", {"dark": 0.5}), world.add("ann/altered", {"dark": 0.5})
    cut.write_bytes(cut.read_bytes()[:500])
    content = bytearray(altered.read_bytes())
    content[-3] ^= 1
    altered.write_bytes(content)
    misnamed = good.with_name(good.name.replace(good.name[:8], "deadbeef"))
    misnamed.write_bytes(good.read_bytes())
    report = world.merge()
    assert {name for name, _ in report.rejected} == {cut.name, altered.name, misnamed.name}
    assert (report.outcomes["scored"], report.pending, report.reconciles) == (1, 2, True)
    kept = rows(world, "SELECT file_name, reason FROM rejected_results")
    assert {name for name, _ in kept} == {cut.name, altered.name, misnamed.name}
    assert all(reason for _, reason in kept)
    # Nothing is rejected twice, and what is in quarantine stays on record.
    assert world.merge().rejected == ()
    assert rows(world, "SELECT count(*) FROM rejected_results") == ((3,),)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_divergence_that_is_no_measurement_is_rejected(world, build, bad):
    result = build.result(world.item("ann/nan"), world.recipe, world.lexicon, {"vibrant": 0.5})
    vector = result.arrays["divergence"].copy()
    vector[3] = bad
    write_result(world.results, Result(result.record, {**result.arrays, "divergence": vector}))
    report = world.merge()
    assert (len(report.rejected), report.pending) == (1, 1)


def test_scores_of_another_lexicon_are_rejected(world, build):
    item = world.item("ann/short")
    result = build.result(item, world.recipe, world.lexicon, {"vibrant": 0.5})
    record = result.record.model_copy(update={"scores": result.record.scores[:-1]})
    write_result(world.results, Result(record, result.arrays))
    assert "lexicon" in world.merge().rejected[0][1]


def test_results_of_other_recipes_are_left_alone(world, build):
    item = world.item("ann/old")
    old = build.recipe(world.lexicon, seed=99)
    path = write_result(world.results, build.result(item, old, world.lexicon, {"vibrant": 0.5}))
    report = world.merge()
    assert (report.other_recipes, report.pending, report.audits) == (1, 1, 0)
    assert path.exists()


def test_another_lexicon_is_refused_before_anything_is_built(world):
    with pytest.raises(UserError, match="lexicon"):
        world.merge(lexicon=load_lexicon("general-1"))
    assert not world.database.exists()


def content(world):
    """Every table but what a merge says of itself."""
    with closing(open_catalog(world.database)) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall()
            for name in names
            if name not in ("runs", "schema_migrations")
        }


def test_merging_again_changes_nothing_but_the_runs(world, build):
    build.fill(world)
    write_result(world.results, build.rich(world.item("ann/rich", trigger="sks"), world.recipe, world.lexicon))
    world.merge()
    before = content(world)
    assert all(before[name] for name in ("adapters", "dose", "trigger_effects", "explanations", "pairs", "files"))
    world.merge()
    assert content(world) == before
    assert rows(world, "SELECT count(*) FROM runs") == ((2,),)


def test_units_listed_twice_count_once_and_unplanned_repos_are_noticed(world):
    world.add("ann/one", {"vibrant": 0.5})
    report = world.merge(items=[*world.items, *world.items])
    assert (report.listed, report.listed_twice, report.reconciles) == (1, 1, True)
    world.repos.append(ListedRepo("eve/forgotten", "b" * 40))
    report = world.merge()
    assert (report.repos_without_units, report.reconciles) == (1, False)


def test_base_pictures_are_stored_once(catalog):
    ((pairs, images, bases),) = rows(
        catalog, "SELECT count(*), (SELECT count(*) FROM images), count(DISTINCT base_image) FROM pairs"
    )
    assert (pairs, bases) == (8, 1)
    assert images < 2 * pairs


def test_an_empty_listing_gives_an_empty_catalog(world):
    report = world.merge()
    assert (report.listed, report.reconciles) == (0, True)
    assert rows(world, "FROM most('vibrant')") == ()


def test_hostile_names_and_cards_are_only_text(world, build):
    for number, text in enumerate(HOSTILE):
        item = world.item(f"eve/{number}{text}", path=f"{text}.safetensors", trigger=text, base_claim=text)
        storable = text.encode("utf-8", "replace").decode()
        stored = item.model_copy(update={name: storable for name in ("repo_id", "path", "trigger", "base_claim")})
        write_result(world.results, build.rich(stored, world.recipe, world.lexicon, storable))
    world.repos = [
        ListedRepo(
            item.repo_id,
            item.commit_sha,
            license=text,
            tags=(text, "lora"),
            instance_prompt=text,
            base_models=(text,),
            created_at=text,
        )
        for item, text in zip(world.items, HOSTILE, strict=True)
    ]
    world.settled.append(SettledItem(HOSTILE[0], "c" * 40, HOSTILE[1], "skipped", "no_weights", HOSTILE[2]))
    report = world.merge()
    assert (report.listed, report.reconciles) == (len(HOSTILE) + 1, True)
    assert report.outcomes["scored"] == len(HOSTILE)
    assert len(rows(world, "FROM lora_card")) == len(HOSTILE) + 1


def test_memory_does_not_grow_with_the_results(world, build, monkeypatch):
    """Blocks of two: the rows held at any time stay those of two results."""
    from auditor.catalog import result_reading as module

    monkeypatch.setattr(module, "_BLOCK_RESULTS", 2)
    held = []
    take = module.ResultRows.take
    monkeypatch.setattr(module.ResultRows, "take", lambda self: (held.append(self.count), take(self))[1])
    build.fill(world)
    assert world.merge().audits == 8
    assert held == [2, 2, 2, 2]


def test_a_result_that_waits_for_its_words_says_so_until_they_come(world, build):
    """`auditor propose` replaces the result file; the next merge reads it again."""
    item = world.item("ann/waiting")
    pending = build.result(
        item,
        world.recipe,
        world.lexicon,
        {"vibrant": 0.7},
        proposals="pending",
        outcome="scored_partial",
        reason="proposals_pending",
    )
    world.add("bob/done", {"vibrant": 0.3}, proposals="answered")
    write_result(world.results, pending)
    assert world.merge().reconciles
    ask = "SELECT flags, concepts FROM lora_card WHERE repo_id = 'ann/waiting'"
    ((flags, concepts),) = rows(world, ask)
    assert "proposals_pending" in flags and concepts == "vibrant 0.70"
    found = rows(world, "SELECT repo_id, 'proposals_pending' IN flags FROM most('vibrant')")
    assert found == (("ann/waiting", True), ("bob/done", False))
    named = build.rich(item, world.recipe, world.lexicon)
    write_result(world.results, Result(named.record.model_copy(update={"proposals": "answered"}), named.arrays))
    report = world.merge()
    assert (report.read, report.carried) == (1, 1)
    assert "proposals_pending" not in rows(world, ask)[0][0]
    assert rows(world, "SELECT count(*) FROM explanations")[0][0] > 0


def test_what_was_named_and_is_no_concept_is_a_candidate(world, build):
    said = {
        "ann/a": [("Risograph prints", 0.5), ("vivid", 0.5)],
        "ann/b": [("risograph print", 1.0), ("torn paper", 0.9)],
        "bob/c": [("risograph print", 0.6), ("'; DROP TABLE x; --", 0.1)],
    }
    for repo_id, phrases in said.items():
        spoken = tuple(ProposedPhrase(text, support, 0.0) for text, support in phrases)
        world.add(repo_id, {"vibrant": 0.5}, phrases=spoken)
    world.merge()
    found = rows(world, "SELECT phrase, adapters, owners, round(mean_support, 2), spellings FROM lexicon_candidates")
    assert found[0] == ("risograph print", 3, 2, 0.7, ["Risograph prints", "risograph print"])
    assert [row[0] for row in found[1:]] == ["torn paper", "'; DROP TABLE x; --"]


def test_the_stored_matrix_makes_the_stored_levels_of_the_stored_v(world):
    world.add("ana/warm", {"warm": 0.8, "dark": -0.4})
    world.merge()
    found = rows(
        world,
        "SELECT s.level, list_inner_product(u.divergence, m.vector) FROM scores s JOIN audits u USING (audit_id) "
        "JOIN level_vectors m ON m.recipe_id = u.recipe_id AND m.concept = s.concept",
    )
    assert len(found) == len(world.lexicon.names)
    assert min(level for level, _ in found) == pytest.approx(-0.4)
    assert [level for level, _ in found] == pytest.approx([made for _, made in found], abs=1e-5)
    assert rows(world, "SELECT count(DISTINCT cluster) FROM concept_clusters") == ((len(world.lexicon.names),),)
