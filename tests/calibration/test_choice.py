"""Which recipe is taken, by planted numbers."""

from __future__ import annotations

import numpy as np
import pytest

from auditor.calibration.choice import (
    Bounds,
    Candidate,
    Likeness,
    chosen,
    compare,
    mean_interval,
    share_interval,
)

BOUNDS = Bounds()
CONCEPTS = np.eye(5, 20)


def like(**changes: float) -> Likeness:
    """Reaches both bounds, unless changed."""
    values = {"adapters": 8, "cosine": 0.996, "cosine_low": 0.994, "worst": 0.99, "agreement": 1.0}
    return Likeness(**(values | {"agreement_low": 1.0, "agreeing": 8, "same": 8, "level_error": 0.1} | changes))  # type: ignore[arg-type]


def probed(true: np.ndarray, scatter: float = 0.0) -> list[np.ndarray]:
    """d_i of each V (m, D) on four probes that scatter by so much along every axis, without moving the mean."""
    signs = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    return [v + scatter * signs for v in true]


def planted(count: int, error: float, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Adapters that each do one concept clearly, and V of the same with errors of some relative length."""
    random = np.random.default_rng(seed)
    true = np.zeros((count, 20))
    true[np.arange(count), np.arange(count) % 5] = random.uniform(0.2, 1.0, count)
    wrong = random.normal(size=true.shape)
    wrong *= error * np.linalg.norm(true, axis=1, keepdims=True) / np.linalg.norm(wrong, axis=1, keepdims=True)
    return probed(true), true + wrong


def test_small_errors_reach_the_bounds_and_large_ones_are_refuted() -> None:
    close, far = compare(*planted(8, 0.05), CONCEPTS), compare(*planted(8, 1.0), CONCEPTS)
    assert close.reaches(BOUNDS) and not close.refuted(BOUNDS)
    assert close.cosine == pytest.approx(1 / np.sqrt(1 + 0.05**2), abs=2e-3) and close.agreeing == 8
    assert far.refuted(BOUNDS) and not far.reaches(BOUNDS)
    assert 0.5 < far.level_error < 2.0


def test_few_adapters_that_agree_do_not_suffice() -> None:
    few, more = compare(*planted(3, 0.05), CONCEPTS), compare(*planted(4, 0.05), CONCEPTS)
    assert few.agreement == 1.0 and not few.reaches(BOUNDS)
    assert more.reaches(BOUNDS)


def test_the_interval_and_not_the_mean_has_to_reach_the_bound() -> None:
    reference, same = planted(6, 0.0)
    other = same.copy()
    other[0] += 0.25 * np.linalg.norm(same[0]) * np.eye(20)[7]
    found = compare(reference, other, CONCEPTS)
    assert found.cosine > BOUNDS.cosine > found.cosine_low
    assert not found.reaches(BOUNDS) and not found.refuted(BOUNDS)


def test_an_error_that_turns_no_top_concept_of_its_own_counts_where_it_would_turn_another_s() -> None:
    """One adapter's second concept is close behind its first; the error was made on another."""
    reference = np.zeros((4, 20))
    reference[np.arange(4), np.arange(4)] = 1.0
    reference[0, 1] = 0.95
    other = reference.copy()
    other[2, 1] += 0.1
    found = compare(probed(reference), other, CONCEPTS)
    assert found.agreeing == 4 and found.agreement == pytest.approx(15 / 16)
    assert not found.reaches(BOUNDS)


def test_a_top_concept_that_the_recipe_itself_cannot_tell_from_its_own_agrees() -> None:
    true = np.tile(0.5 * np.eye(20)[0] + 0.49 * np.eye(20)[1], (4, 1))
    other = true + 0.03 * np.eye(20)[1]
    sure = compare(probed(true), other, CONCEPTS)
    assert (sure.agreeing, sure.same) == (0, 0) and sure.refuted(BOUNDS)
    unsure = [v + 0.1 * np.array([[1.0], [-1.0], [1.0], [-1.0]]) * np.eye(20)[0] for v in true]
    found = compare(unsure, other, CONCEPTS)
    assert (found.agreeing, found.same) == (4, 0) and found.reaches(BOUNDS)


def test_the_cheapest_that_reaches_the_bounds_is_taken() -> None:
    found = [
        Candidate("64-8-1", 24, 10.0, None),
        Candidate("48-8-1", 24, 6.0, like()),
        Candidate("48-4-1", 24, 3.0, like(cosine_low=0.98)),
        Candidate("64-8-1", 12, 5.0, like(agreement_low=0.9)),
        Candidate("48-6-1", 24, 4.0, like(agreeing=5)),
    ]
    assert chosen({"pocket": found}, {}, BOUNDS)["pocket"].drawing == "48-8-1"
    assert chosen({"pocket": found}, {}, Bounds(0.97, 0.97))["pocket"].drawing == "48-4-1"
    assert chosen({"pocket": found}, {}, Bounds(0.999, 0.97))["pocket"].likeness is None


def test_all_bases_take_one_number_of_probes_by_what_their_adapters_cost() -> None:
    small = [Candidate("a", 24, 4.0, None), Candidate("a", 12, 2.0, like())]
    large = [Candidate("b", 24, 9.0, None), Candidate("c", 24, 5.0, like()), Candidate("b", 12, 6.0, like())]
    found = {"small": small, "large": large}
    assert {c.probes for c in chosen(found, {"small": 100, "large": 10}, BOUNDS).values()} == {12}
    assert {c.probes for c in chosen(found, {"small": 10, "large": 100}, BOUNDS).values()} == {24}
    stubborn = found | {"third": [Candidate("d", 24, 1.0, None)]}
    assert {c.probes for c in chosen(stubborn, {"small": 100}, BOUNDS).values()} == {24}


def test_intervals_of_a_sample_hold_what_is_possible() -> None:
    assert mean_interval([8.0], 8.0, 24.0) == (8.0, 24.0)
    low, high = mean_interval([8.0, 8.0, 16.0, 24.0], 8.0, 24.0)
    assert 8.0 <= low < 14.0 < high <= 24.0
    assert share_interval(0, 0) == (0.0, 1.0)
    low, high = share_interval(8, 8)
    assert 0.6 < low < 0.7 and high == pytest.approx(1.0)
