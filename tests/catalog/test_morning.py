"""The morning report: what is new, changed, gone, broken and best, and nothing of it alive in a page."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from auditor.catalog.morning import MorningReport, read_morning
from auditor.catalog.morning_pages import duration, render_html, render_markdown
from auditor.catalog.publishing import catalog_before
from auditor.results.result_file import write_result

EARLIER = "2020-01-01T00:00:00+00:00"
HOSTILE = "x</td><script>a()</script>`` | [b](javascript:c)"


def read(world, *follow: str) -> MorningReport:
    before = catalog_before(world.database)
    return read_morning(world.database, before if before.exists() else None, follow)


@pytest.fixture
def nights(world, build):
    """Two nights: one adapter stays, one changes its commit, one goes, one comes; one is damaged."""
    world.add("ann/stays", {"vibrant": 0.9}, finished_at=EARLIER, timings_s={"generate": 10.0})
    world.add("ann/changes", {"vibrant": 0.4}, finished_at=EARLIER, timings_s={"generate": 20.0})
    world.add("ann/goes", {"dark": 0.5}, finished_at=EARLIER)
    assert world.merge().reconciles
    del world.items[2], world.repos[2]
    world.items[1] = world.items[1].model_copy(update={"commit_sha": "b" * 40})
    tonight = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    world.add("bob/comes", {"vibrant": 0.7}, finished_at=tonight, timings_s={"generate": 30.0, "apply": 4.0})
    broken = build.result(world.item("bob/broken"), world.recipe, world.lexicon, {}, outcome="quarantined",
                          reason="corrupt_file", finished_at=tonight, scores=(), effect=None)  # fmt: skip
    write_result(world.results, broken)
    assert world.merge().reconciles
    return world


def test_new_changed_and_gone_are_told_apart(nights) -> None:
    found = read(nights)
    assert found.since is not None and found.made_at > found.since
    assert found.added == (("bob/broken", "lora.safetensors"), ("bob/comes", "lora.safetensors"))
    assert found.gone == (("ann/goes", "lora.safetensors"),)
    assert found.changed == (("ann/changes", "lora.safetensors"),)
    assert dict((name, (now, old)) for name, now, old in found.outcomes)["scored"] == (3, 3)
    assert [point.listed for point in found.history] == [3, 4]


def test_only_this_night_counts_as_this_night(nights) -> None:
    found = read(nights)
    assert found.audits == 2 and set(found.by_base) == {("pocket", "scored", 1), ("pocket", "quarantined", 1)}
    assert dict(found.stages) == {"generate": 31.5, "apply": 4.0} and found.spent_s == 35.5
    # by what scored files took before, on the mean; none was quarantined before
    assert found.expected_s == pytest.approx((10.0 + 20.0 + 1.5) / 3)


def test_nothing_is_expected_of_a_base_that_was_never_timed(nights, build) -> None:
    """A part of the sum would look like the whole."""
    tonight = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    nights.add("cat/elsewhere", {"dark": 0.5}, finished_at=tonight, base_name="another")
    nights.merge()
    assert read(nights).expected_s is None


def test_a_reason_comes_with_its_next_step(nights) -> None:
    (trouble,) = read(nights).troubles
    assert (trouble.reason, trouble.units, trouble.example) == ("corrupt_file", 1, "bob/broken/lora.safetensors")
    assert trouble.next_step and trouble.next_step in render_html(read(nights)).replace("&#39;", "'")


def test_followed_concepts_show_the_best_and_which_are_new(nights) -> None:
    vibrant, strange = read(nights, "vibrant", "no such word").followed
    assert [(best.repo_id, best.new) for best in vibrant.best[:2]] == [("ann/stays", False), ("bob/comes", True)]
    assert not strange.known and "No concept of this lexicon" in render_html(read(nights, "no such word"))


def test_scores_that_moved_without_a_reason_are_called_a_fault(nights) -> None:
    item = nights.items[0]
    (path,) = (p for p in nights.results.rglob("*") if item.file_sha256 in p.name)
    path.unlink()
    nights.items.pop(0)
    nights.repos.pop(0)
    nights.add("ann/stays", {"vibrant": 0.2}, finished_at=EARLIER)
    nights.merge()
    found = read(nights)
    assert found.moved is not None and [row["concept"] for row in found.moved.records()] == ["vibrant"]
    for page in (render_html(found), render_markdown(found)):
        assert "A fault of the audit" in page and "0.90 before, 0.20 now" in page


def test_the_first_night_compares_nothing(world) -> None:
    world.add("ann/vibrant", {"vibrant": 0.9})
    world.merge()
    found = read(world, "vibrant")
    assert found.since is None and not found.added and found.moved is None and found.expected_s is None
    assert found.audits == 1 and "The first night" in render_markdown(found)
    assert not catalog_before(world.database).exists()


def test_the_catalog_before_is_a_second_name_not_a_copy(world) -> None:
    world.add("ann/one", {"vibrant": 0.9})
    world.merge()
    first = world.database.stat().st_ino
    world.add("ann/two", {"vibrant": 0.8})
    world.merge()
    assert catalog_before(world.database).stat().st_ino == first != world.database.stat().st_ino
    shutil.copy(world.database, world.folder / "kept.duckdb")
    world.merge()
    assert catalog_before(world.database).read_bytes() == (world.folder / "kept.duckdb").read_bytes()


def test_names_of_strangers_stay_names(nights) -> None:
    found = read(nights, "vibrant")
    trouble = replace(found.troubles[0], example=HOSTILE, next_step="type `auditor retry` <b>")
    best = replace(found.followed[0].best[0], repo_id=HOSTILE, path=HOSTILE)
    hostile = replace(
        found, added=((HOSTILE, HOSTILE),), gone=((HOSTILE, HOSTILE),), troubles=(trouble,),
        followed=(replace(found.followed[0], best=(best,)),), by_base=((HOSTILE, "scored", 1),),
    )  # fmt: skip
    page, text = render_html(hostile), render_markdown(hostile)
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "type <code>auditor retry</code> &lt;b&gt;" in page
    for line in text.splitlines():
        if "javascript" in line:
            # all of it between fences that it cannot close, and not one cell more than the table has
            assert "```" in line and line.count("|") in (0, 4, 5)


@pytest.mark.parametrize(("now", "old", "said"), [(5, 5, "5"), (1234, 1000, "1,234 (+234)"), (0, 2, "0 (-2)")])
def test_a_count_that_moved_says_by_how_much(nights, now: int, old: int, said: str) -> None:
    moved = replace(read(nights), outcomes=(("scored", now, old),))
    for page in (render_html(moved), render_markdown(moved)):
        assert said in page and (now != old or f"{said} (" not in page)


@pytest.mark.parametrize(("seconds", "said"), [(12.4, "12 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations_are_in_people_s_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said
