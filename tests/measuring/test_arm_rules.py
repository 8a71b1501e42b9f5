"""Which probes an arm uses, which pictures count, and who makes which part of a reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from auditor.errors import ItemError
from auditor.generation.generator import ImageChecks
from auditor.measuring.arm_images import usable_pictures
from auditor.measuring.arms import MIN_TRIGGER_PROBES, trigger_probes
from auditor.measuring.shards import _note, _take
from auditor.probes.loader import ProbeSet


def probes(cats: int, others: int) -> ProbeSet:
    prompts = [f"a boat number {n}" for n in range(others)] + [f"a cat number {n}" for n in range(cats)]
    return ProbeSet("x", tuple(prompts), ("thing",) * len(prompts), tuple(range(len(prompts))))


@pytest.mark.parametrize(
    ("cats", "others", "named"),
    [
        (MIN_TRIGGER_PROBES, 6, True),
        (MIN_TRIGGER_PROBES - 1, 7, False),  # too few to show an effect
        (7, 6, False),  # most of all: nothing is left out
        (0, 12, False),
    ],
)
def test_a_trigger_is_tried_on_its_own_subject_only_where_there_are_enough_of_it(
    cats: int, others: int, named: bool
) -> None:
    chosen = trigger_probes("SKS Cat", probes(cats, others)).tolist()
    assert chosen == list(range(others if named else 0, cats + others))


def test_short_words_of_a_trigger_name_no_subject() -> None:
    few = ProbeSet("x", tuple(f"{'of a' if n < 6 else 'oak'} {n}" for n in range(12)), ("x",) * 12, tuple(range(12)))
    assert len(trigger_probes("of a", few)) == 12
    assert trigger_probes("oak", few).tolist() == list(range(6, 12))


@pytest.mark.parametrize("word", ["with", "the", "and", "for"])
def test_words_that_join_others_name_no_subject_either(word: str) -> None:
    """A trigger `ink with bold lines` is not about pictures of a boat with a sail."""
    few = ProbeSet("x", tuple(f"boat {word if n < 6 else 'or'} {n}" for n in range(12)), ("x",) * 12, tuple(range(12)))
    assert len(trigger_probes(f"ink {word} lines", few)) == 12


@pytest.mark.parametrize(
    ("blank", "nonfinite", "reason"),
    [(1, 0, None), (2, 0, "blank_images"), (2, 2, "nonfinite_images"), (0, 2, "nonfinite_images")],
)
def test_up_to_a_tenth_of_the_pictures_may_show_nothing(blank: int, nonfinite: int, reason: str | None) -> None:
    number = np.arange(10)
    checks = ImageChecks(number >= 10 - nonfinite, number < blank, np.zeros(10, bool))
    if reason is None:
        assert usable_pictures(checks, "x").tolist() == [False] + [True] * 9
        return
    with pytest.raises(ItemError, match="of 10 pictures show nothing") as error:
        usable_pictures(checks, "x")
    assert (error.value.outcome, error.value.reason) == ("failed", reason)


def test_a_part_that_nobody_works_on_goes_before_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    assert _take(folder, ["a", "b"]) == "a" and _note(folder, "a").exists()
    for _ in range(5):
        _note(folder, "b").unlink(missing_ok=True)
        assert _take(folder, ["a", "b"]) == "b"
    assert {_take(folder, ["a", "b"]) for _ in range(40)} == {"a", "b"}
