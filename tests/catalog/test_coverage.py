"""What share of the listed files is audited, and what the rest is."""

from __future__ import annotations

from contextlib import closing

from auditor.catalog.coverage import read_coverage
from auditor.catalog.reading import open_catalog
from auditor.errors import ItemError
from auditor.records.result import ANY_RECIPE
from auditor.results.failures import failure_record
from auditor.results.result_file import Result, write_result
from tests.catalog.conftest import World


def _skip(world: World, repo_id: str, reason: str, **words: object) -> None:
    item = world.item(repo_id, base_name=None, base_claim=words.get("claimed_base"))
    error = ItemError("skipped", reason, "It is made for another base.")  # type: ignore[arg-type]
    record = failure_record(item, item.file_sha256 or "", ANY_RECIPE, error).model_copy(update=words)
    write_result(world.results, Result(record, {}))


def test_every_listed_unit_is_covered_once(world: World) -> None:
    world.add("a/one", {"vibrant": 0.5}, format="lora", family="pocket", claimed_base="pocket/base", base_distance=0)
    world.add(
        "a/two",
        {"vibrant": 0.5},
        format="dora",
        family="pocket",
        base_assumed=True,
        contradictions=("the card names Qwen/Qwen-Image (Qwen-Image)",),
    )
    for number in range(3):
        _skip(
            world, f"b/{number}", "unsupported_base", format="lora", family="qwen_image", claimed_base="Qwen/Qwen-Image"
        )
    _skip(world, "c/oft", "unsupported_format", format="oft", family="pocket")
    world.settle("d/pictures")
    world.item("e/waits")
    report = world.merge()
    by_family = {group.name: group for group in read_coverage(world.database, "family")}
    assert (by_family["pocket"].audited, by_family["pocket"].not_audited) == (2, 1)
    qwen = by_family["qwen_image"]
    assert (qwen.units, qwen.audited, qwen.main_reason) == (3, 0, "unsupported_base")
    assert qwen.downloads_without == 2 + 3 + 4  # of each repo as it was listed
    assert (by_family[None].pending, by_family[None].not_audited) == (1, 1)
    for by in ("family", "format", "base", "reason"):
        assert sum(group.units for group in read_coverage(world.database, by)) == report.listed
    assert {group.name for group in read_coverage(world.database, "base")} == {
        "pocket/base",
        "Qwen/Qwen-Image",
        None,
    }
    with closing(open_catalog(world.database)) as catalog:
        kept = "SELECT e.base_distance, e.contradictions FROM audit_evidence e JOIN audits u USING (audit_id)"
        assert catalog.execute(f"{kept} WHERE u.first_repo_id = 'a/one'").fetchall() == [(0, [])]
        ((distance, contradictions),) = catalog.execute(f"{kept} WHERE u.first_repo_id = 'a/two'").fetchall()
    assert distance is None and contradictions == ["the card names Qwen/Qwen-Image (Qwen-Image)"]
    before = read_coverage(world.database, "family")
    assert world.merge().carried > 0
    assert read_coverage(world.database, "family") == before
