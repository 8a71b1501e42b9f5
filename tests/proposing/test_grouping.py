from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.proposing.grouping import join_groups, split_pairs

WORDS = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(st.integers(1, 200), st.integers(1, 10))
def test_every_pair_is_in_exactly_one_group(count: int, per_group: int) -> None:
    groups = split_pairs(count, per_group)
    assert [i for g in groups for i in g] == list(range(count))
    assert all(len(g) == per_group for g in groups[:-1])


def test_nothing_to_split_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pair"):
        split_pairs(0)


def test_support_counts_groups_also_those_that_saw_nothing() -> None:
    joined = join_groups([["dark", "warm"], ["warm"], [], ["warm", "dark"]])
    assert [(p.text, p.support, p.rank) for p in joined] == [("warm", 0.75, 1 / 3), ("dark", 0.5, 0.5)]


def test_no_answers_give_no_phrases() -> None:
    assert join_groups([]) == ()


@settings(deadline=None, max_examples=40)
@given(st.lists(WORDS, min_size=1, max_size=8), st.randoms())
def test_order_of_groups_does_not_matter(answers: list[list[str]], random: object) -> None:
    shuffled = list(answers)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert join_groups(answers) == join_groups(shuffled)
    assert all(0 < p.support <= 1 for p in join_groups(answers))
