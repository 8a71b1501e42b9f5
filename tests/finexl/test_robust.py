"""The default variant: planted concepts, order, redundancy, abstention."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.concepts import common_span
from auditor.finexl.robust import Order, Redundancy, RobustOptions, explain


def near_orthogonal(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    basis, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
    return np.asarray(basis[:count] + 0.01 * rng.normal(size=(count, dimension)))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31),
    st.lists(st.floats(0.3, 2.0), min_size=1, max_size=4),
    st.sampled_from(get_args(Order)),
    st.sampled_from(get_args(Redundancy)),
)
def test_planted_concepts_are_recovered(seed: int, planted: list[float], order: Order, redundancy: Redundancy) -> None:
    rng = np.random.default_rng(seed)
    vectors = near_orthogonal(rng, 8, 24)
    target = np.array(planted) @ vectors[: len(planted)]
    options = RobustOptions(order=order, redundancy=redundancy, stop_residual=0.02)
    result = explain(target, [f"c{i}" for i in range(8)], vectors, options=options)
    found = {c.name: c.weight for c in result.concepts}
    for index, weight in enumerate(planted):
        assert found[f"c{index}"] == pytest.approx(weight, abs=0.15)
    assert result.status == "explained" and result.explained_share > 0.97


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["cosine", "support", "pursuit"]), st.floats(0.01, 100))
def test_order_and_scale_do_not_matter(seed: int, order: Order, scale: float) -> None:
    rng = np.random.default_rng(seed)
    vectors, target = rng.normal(size=(7, 12)), rng.normal(size=12)
    support = rng.integers(1, 4, size=7)
    names = [f"c{i}" for i in range(7)]
    options = RobustOptions(order=order)
    first = explain(target, names, vectors, support=list(support), options=options)
    shuffle = rng.permutation(7)
    second = explain(
        scale * target,
        [names[i] for i in shuffle],
        vectors[shuffle],
        support=list(support[shuffle]),
        options=options,
    )
    assert [c.name for c in first.concepts] == [c.name for c in second.concepts]
    assert [scale * c.weight for c in first.concepts] == pytest.approx([c.weight for c in second.concepts])
    assert first.explained_share == pytest.approx(second.explained_share)


def test_duplicates_and_opposites_are_told_apart() -> None:
    vectors = np.array([[1.0, 0, 0], [1.0, 0.01, 0], [-1.0, 0, 0], [0, 1.0, 0]])
    result = explain([1.0, 0.6, 0], ["a", "a again", "not a", "b"], vectors, options=RobustOptions(stop_residual=0))
    assert {c.name for c in result.concepts} in ({"a", "b"}, {"a again", "b"})
    fates = {c.name: c.fate for c in result.trace}
    assert fates["not a"] == "redundant"


def test_what_the_last_fit_gives_no_weight_is_dropped_and_no_longer_explains() -> None:
    rng = np.random.default_rng(0)
    options = RobustOptions(stop_residual=0, order="given")
    found = [explain(rng.normal(size=3), "abcd", rng.normal(size=(4, 3)), options=options) for _ in range(300)]
    dropped = [(each, c) for each in found for c in each.trace if c.fate == "dropped"]
    assert dropped
    for each, considered in dropped:
        assert considered.name not in {c.name for c in each.concepts} and considered.redundancy == 0.0


def test_span_share_sees_a_combination_of_kept_concepts() -> None:
    vectors = np.array([[1.0, 0, 0], [0, 1.0, 0], [0.7, 0.7, 0.05]])
    options = RobustOptions(redundancy="span_share", max_redundancy=0.9, order="given", stop_residual=0)
    result = explain([1.0, 0.8, 0.1], ["a", "b", "mix"], vectors, options=options)
    assert [(c.name, c.fate) for c in result.trace][2] == ("mix", "redundant")
    assert result.trace[2].redundancy == pytest.approx(0.98 / 0.9825)


def test_abstains() -> None:
    lost = explain([0, 0, 1.0], ["a"], [[1.0, 0, 0.1]])
    assert lost.status == "unexplained" and lost.explained_share < 0.1
    against = explain([-1.0, 0], ["a"], [[1.0, 0]])
    assert against.status == "unexplained" and against.concepts == () and against.trace[0].fate == "opposed"
    nothing = explain(np.zeros(3), ["a"], np.ones((1, 3)))
    assert nothing.status == "no_effect" and nothing.explained_share == nothing.relative_residual == 0.0
    assert explain(np.ones(3), [], []).status == "unexplained"
    assert explain(np.ones(3), ["zero"], np.zeros((1, 3))).trace[0].fate == "zero_vector"


def test_cap_shares_and_common_direction() -> None:
    vectors = np.eye(5)
    capped = explain(np.ones(5), list("abcde"), vectors, options=RobustOptions(max_concepts=2))
    assert [c.name for c in capped.concepts] == ["a", "b"]
    assert [c.share for c in capped.concepts] == pytest.approx([0.2, 0.2])
    appended = np.hstack([np.eye(3), np.full((3, 1), 4.0)])
    plain = explain([1.0, 0, 0, 0], list("abc"), appended)
    cleaned = explain([1.0, 0, 0, 0], list("abc"), appended, common=common_span(appended, mode="mean"))
    assert cleaned.explained_share > plain.explained_share + 0.3
    assert cleaned.concepts[0].name == "a"


def test_least_squares_is_available() -> None:
    options = RobustOptions(solver="ols", order="given", max_redundancy=1.0, stop_residual=0)
    result = explain([1.0, -1.0], ["a", "b"], [[1.0, 0], [0, 1.0]], options=options)
    assert {c.name: c.weight for c in result.concepts} == pytest.approx({"a": 1.0, "b": -1.0})


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("cosine", ["near", "often", "often too", "twice", "at first"]),
        ("support", ["often", "often too", "twice", "near", "at first"]),
        ("pursuit", ["near", "often", "often too", "twice", "at first"]),
        ("given", ["at first", "twice", "often too", "often", "near"]),
    ],
)
def test_the_order_in_which_candidates_are_tried(order: Order, expected: list[str]) -> None:
    """By closeness ties fall to support, by support to closeness; a name decides only where both are alike."""
    target = np.array([1.0, 0.2, 0.2, 0.05])
    vectors = np.array([[0, 0, 0, 1.0], [0, 0, 0, 1.0], [0, 0, 1.0, 0], [0, 1.0, 0, 0], [1.0, 0, 0, 0]])
    options = RobustOptions(order=order, stop_residual=0, minimum_gain=-1.0, max_redundancy=2.0)
    names = ["at first", "twice", "often too", "often", "near"]
    found = explain(target, names, vectors, support=[1, 2, 3, 3, 1], options=options)
    assert [considered.name for considered in found.trace] == expected


FREE = RobustOptions(solver="ols", order="given", stop_residual=0.0, minimum_gain=0.0)
"""Fits without a penalty, so that what lies at a limit lies there exactly."""


@pytest.mark.parametrize(("most", "fate"), [(0.6, "kept"), (0.59, "redundant")])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_largest_redundancy_is_still_allowed(most: float, fate: str, sign: float) -> None:
    options = replace(FREE, max_redundancy=most)
    result = explain([1.0, 1.0], ["a", "b"], [[1.0, 0.0], [3.0 * sign, 4.0 * sign]], options=options)
    assert (result.trace[1].redundancy, result.trace[1].fate) == (0.6, fate)


@pytest.mark.parametrize(("limit", "kept"), [(0.6, 2), (0.61, 1)])
def test_a_residual_at_the_limit_is_not_below_it(limit: float, kept: int) -> None:
    result = explain([4.0, 3.0, 0.0], "abc", np.eye(3), options=replace(FREE, stop_residual=limit))
    assert len(result.trace) == kept


@pytest.mark.parametrize(("least", "fate"), [(0.64, "kept"), (0.65, "no_gain")])
def test_a_concept_stays_that_raises_the_share_by_just_the_least_gain(least: float, fate: str) -> None:
    result = explain([4.0, 3.0], ["a"], [[1.0, 0.0]], options=replace(FREE, minimum_gain=least))
    assert result.trace[0].fate == fate and len(result.concepts) == (fate == "kept")


@pytest.mark.parametrize(("least", "status"), [(0.64, "explained"), (0.65, "unexplained")])
def test_only_below_the_least_share_a_change_is_unexplained(least: float, status: str) -> None:
    result = explain([4.0, 3.0], ["a"], [[1.0, 0.0]], options=replace(FREE, minimum_share=least))
    assert result.explained_share == pytest.approx(0.64) and result.status == status


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_concepts_are_listed_by_what_they_contribute_and_not_by_weight(sign: float) -> None:
    result = explain([2.0, 5.0 * sign], ["a", "b"], [[1.0, 0.0], [0.0, 10.0]], options=FREE)
    assert [(c.name, c.weight) for c in result.concepts] == [("b", pytest.approx(sign * 0.5)), ("a", pytest.approx(2))]


def test_only_weights_that_may_not_be_negative_make_a_candidate_opposed() -> None:
    (concept,) = explain([-1.0, 0.0], ["a"], [[1.0, 0.0]], options=FREE).concepts
    assert (concept.weight, concept.support) == (pytest.approx(-1.0), 1)


def test_beside_another_concept_one_that_points_away_from_the_change_may_still_correct_it() -> None:
    vectors = np.array([[1.0, 1.0], [-0.1, -1.0]])
    options = RobustOptions(order="given", max_redundancy=0.9, stop_residual=0.0)
    both = explain([1.0, 0.0], ["a", "b"], vectors, options=options)
    assert [considered.fate for considered in both.trace] == ["kept", "kept"]
    assert both.explained_share == pytest.approx(1.0, abs=1e-4)


def test_what_contributes_alike_is_listed_by_name_whatever_the_order_of_the_replies() -> None:
    result = explain([1.0, 1.0], ["b", "a"], np.eye(2), options=FREE)
    assert [considered.name for considered in result.trace] == ["b", "a"]
    assert [concept.name for concept in result.concepts] == ["a", "b"]
