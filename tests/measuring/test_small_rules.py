"""What is small enough to be tried without a model: counts, places and words of a measurement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from auditor.lexicons import load_lexicon
from auditor.measuring.arms import Measured, spread_rows
from auditor.measuring.explanations import explain_with_proposals, unusable_replies
from auditor.measuring.reference import PICTURES_PER_CALL, ReferenceMaker, chunk_bounds
from auditor.records.proposals import InvalidKind, Proposals, RawReply
from auditor.records.result import AuditRecord, WorkItem
from auditor.results.result_file import Result
from auditor.results.waiting_pictures import AuditedFile, ShownPairs


@pytest.mark.parametrize(
    ("count", "wanted", "rows"),
    [(10, 3, [0, 4, 9]), (10, 1, [0]), (3, 3, [0, 1, 2]), (2, 5, [0, 1]), (0, 4, [])],
)
def test_rows_are_spread_from_the_first_to_the_last(count: int, wanted: int, rows: list[int]) -> None:
    assert list(spread_rows(count, wanted)) == rows


@pytest.mark.parametrize(
    ("count", "looks", "bounds"),
    [
        (12, (6, 12), [(0, 6), (6, 12)]),
        (12, (6, 20), [(0, 6), (6, 12)]),
        (12, (), [(0, 12)]),
        (12, (9, 1, 9), [(0, 1), (1, 9), (9, 12)]),
        (1, (1,), [(0, 1)]),
    ],
)
def test_looks_cut_the_probes_into_calls_none_of_which_is_empty(
    count: int, looks: tuple[int, ...], bounds: list[tuple[int, int]]
) -> None:
    assert list(chunk_bounds(count, looks)) == bounds


def test_probes_whose_pictures_showed_nothing_were_rendered_too() -> None:
    rows = np.array([0, 2, 3])
    kept = np.zeros((3, 4), np.float32)
    measured = Measured(rows, np.zeros((3, 8, 8, 3), np.uint8), kept, kept, dropped=2)
    assert measured.rendered == 5


@pytest.mark.parametrize(
    ("image_probes", "together"), [(PICTURES_PER_CALL + 1, 1), (PICTURES_PER_CALL // 4, 4), (None, 1), (0, 96)]
)
def test_parts_of_a_reference_have_a_calls_worth_of_pictures_and_a_phrase_at_least(
    image_probes: int | None, together: int
) -> None:
    recipe: Any = SimpleNamespace(solver={"image_probes": image_probes})
    lexicon, none, probes = load_lexicon("pocket-1"), cast(Any, None), cast(Any, range(2 * PICTURES_PER_CALL))
    maker = ReferenceMaker(recipe, none, none, probes, lexicon)
    *parts, base, noise, text = maker.names()
    assert [base, noise, text] == ["base", "noise", "text"]
    edges = [tuple(map(int, part.split("-")[1:])) for part in parts]
    count = 1 + len(lexicon.names) + len(lexicon.neutral_words)
    assert edges == [(a, min(a + together, count)) for a in range(0, count, together)]


def reply(invalid: InvalidKind | None, text: str = "") -> RawReply:
    return RawReply(0, 0, 0, text, (), (), invalid, False, None)


def test_replies_that_cannot_be_used_are_counted_by_what_was_wrong_and_a_refusal_goes_before_all() -> None:
    replies = [reply("empty"), reply("not_json"), reply("empty"), reply(None)]
    assert unusable_replies(replies) == "The VLM gave no usable reply (empty 2x, not_json 1x)"
    refused = unusable_replies([*replies, reply("refused", "too large\x1b"), reply("refused", "later")])
    assert refused.startswith("The VLM's server refused its pictures (too large") and "empty" not in refused


def test_words_take_the_seconds_of_proposing_and_of_explaining_and_are_added_to_those_before() -> None:
    item = WorkItem(repo_id="a/b", commit_sha="0" * 40, path="x", file_sha256=None, base_name=None)
    record = AuditRecord(
        item=item, file_sha256=item.name_sha256, recipe_id="r", outcome="scored", reason=None, message="-",
        base_name=None, proposals="pending", timings_s={"generate": 1.5},
    )  # fmt: skip
    pictures = np.zeros((1, 4, 4, 3), np.uint8)
    shown = ShownPairs(np.zeros((2, 3), np.float32), pictures, pictures, None)
    scorer: Any = SimpleNamespace(explain=lambda *_: ())
    named = explain_with_proposals(
        scorer, AuditedFile(Result(record, {}), shown), Proposals((), (), 1, 1, None), 2.25
    ).record
    assert (named.proposals, named.timings_s["generate"], named.timings_s["propose"]) == ("answered", 1.5, 2.25)
    assert 0.0 <= named.timings_s["explain"] < 60.0
