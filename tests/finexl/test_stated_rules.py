"""Rules as the docstrings state them, each at the place where two readings of it part: at, above and beside a limit."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal

import numpy as np
import pytest
from scipy.stats import t as student

from auditor import finexl
from auditor.finexl.arrays import as_rows, cosines, unit
from auditor.finexl.divergence import next_look, precision
from auditor.finexl.shared_basis import ScoreOptions, make_basis, score, score_phrase
from auditor.finexl.significance import ROUNDING, effect_test, sign_flip_p_value

SURE = ScoreOptions(solver="ols", confidence=0.9, unknown_alignment=1.0)
SURE_OF = {"nnls": ScoreOptions(solver="nnls"), "ols": SURE}


@pytest.mark.parametrize(("floor", "reason"), [(0.49, "effect"), (0.5, "below_floor"), (0.51, "below_floor")])
def test_a_change_must_be_above_the_floor_and_not_at_it(floor: float, reason: str) -> None:
    rows = np.full((20, 1), 0.5)
    noise = np.array([[1.0], [-1.0]] * 20)
    result = effect_test(rows, noise, negligible=floor)
    assert (result.norm, result.floor, result.reason) == (0.5, floor, reason)


@pytest.mark.parametrize(("length", "reason"), [(1e-6, "identical"), (1.01e-6, "effect")])
def test_some_difference_must_be_longer_than_rounding(length: float, reason: str) -> None:
    assert effect_test(np.full((20, 1), length)).reason == reason


@pytest.mark.parametrize(("resamples", "expected"), [(19, 1 / 20), (99, 1 / 100), (2000, 1 / 2001)])
def test_a_drawn_p_value_counts_the_observed_signs_and_is_never_zero(resamples: int, expected: float) -> None:
    assert sign_flip_p_value(np.ones((40, 2)), resamples=resamples) == expected


def test_up_to_twelve_probes_all_patterns_are_counted() -> None:
    assert sign_flip_p_value(np.ones((12, 2)), resamples=1) == 2.0**-11
    assert sign_flip_p_value(np.ones((13, 2)), resamples=1) >= 0.5


def errors_of_the_signal(rows: np.ndarray) -> tuple[float, float]:
    """(leave-one-out, without an effect), both written out."""
    n = len(rows)
    left_out = np.array([precision(np.delete(rows, i, axis=0)).signal for i in range(n)])
    jackknife = (n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()
    products = [float(rows[i] @ rows[j]) ** 2 for i in range(n) for j in range(n) if i != j]
    return float(np.sqrt(jackknife)), float(np.sqrt(2.0 * sum(products)) / (n * (n - 1)))


@pytest.mark.parametrize(("centre", "dimension", "larger"), [(1.0, 8, 1), (0.0, 64, 0)])
def test_the_error_of_the_signal_is_the_larger_of_both(centre: float, dimension: int, larger: int) -> None:
    rows = np.random.default_rng(1 - larger).normal(size=(12, dimension)) * (0.5 if centre else 1.0) + centre
    errors = errors_of_the_signal(rows)
    assert errors[larger] > 1.05 * errors[1 - larger]
    assert precision(rows).signal_error == pytest.approx(errors[larger])


def test_an_uncertain_signal_takes_the_smallest_step() -> None:
    rows = np.random.default_rng(0).normal(size=(3, 256)) * np.sqrt(2.0 / 256)
    rows[:, 0] += 1.0
    look = next_look(rows, looks=(25, 50, 100, 200))
    assert look.precision.signal - 1.96 * look.precision.signal_error <= 0.0
    assert (look.reason, look.next_probes) == ("more_probes", 25)


def test_a_certain_signal_goes_to_the_smallest_look_that_is_enough_or_else_the_last() -> None:
    rows = np.random.default_rng(0).normal(size=(25, 256)) * np.sqrt(6.0 / 256)
    rows[:, 0] += 1.0
    assert next_look(rows, looks=(25, 50, 100, 200)).next_probes == 100
    assert next_look(rows, looks=(25, 30, 40)).next_probes == 40


def test_a_look_that_just_suffices_is_enough() -> None:
    rows = np.tile([1.0, 0.0], (25, 1))
    assert next_look(rows).reason == "target_reached"
    assert next_look(rows[:1]).reason != "target_reached"


def test_a_score_has_students_interval() -> None:
    rows = np.random.default_rng(2).normal(size=(9, 3)) + np.array([2.0, 0.5, 0.0])
    result = score(rows, make_basis(["x", "y"], np.eye(3)[:2]), SURE)
    half = student.ppf(0.95, 8) * rows[:, :2].std(axis=0, ddof=1) / 3.0
    assert result.score == pytest.approx(rows.mean(axis=0)[:2])
    assert (result.low, result.high) == (pytest.approx(result.score - half), pytest.approx(result.score + half))


def test_the_upper_end_takes_weights_within_their_own_interval_for_noise() -> None:
    rows = np.random.default_rng(6).normal(size=(12, 2)) * 0.4 + np.array([1.0, -0.1])
    vectors = np.array([[1.0, 0.0], [0.6, 0.8]])
    result = score(rows, make_basis(["x", "y"], vectors))
    assert result.score[1] > 0.0 == result.low[1]
    alone = rows[:, 0]
    half = student.ppf(0.975, 11) * alone.std(ddof=1) / np.sqrt(12)
    assert result.high[0] == pytest.approx(alone.mean() + half, abs=1e-4)
    assert result.high[0] - result.score[0] > result.score[0] - result.low[0]


@pytest.mark.parametrize(("across", "above"), [(-0.2, False), (-0.02, True)])
def test_a_concept_without_weight_has_the_interval_of_what_it_would_get_beside_the_others(
    across: float, above: bool
) -> None:
    rows = np.random.default_rng(5).normal(size=(12, 3)) * 0.3
    rows += np.array([1.0, across, 0.0]) - rows.mean(axis=0)
    vectors = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0]])
    result = score(rows, make_basis(["x", "y"], vectors))
    assert result.score[1] == 0.0
    beside = (rows @ np.linalg.pinv(vectors))[:, 1]
    end = beside.mean() + student.ppf(0.975, 11) * beside.std(ddof=1) / np.sqrt(12)
    assert result.low[1] == 0.0
    assert (result.high[1] > 0.05) == above
    assert result.high[1] == pytest.approx(max(0.0, end), abs=1e-4)


@pytest.mark.parametrize("solver", ["nnls", "ols"])
def test_probes_that_agree_leave_no_interval_though_concepts_are_nearly_alike(solver: Literal["nnls", "ols"]) -> None:
    vectors = np.array([[1.0, 0.0], [np.cos(0.06), np.sin(0.06)]])
    found = score(np.tile(np.array([0.7, 0.3]) @ vectors, (6, 1)), make_basis(["x", "y"], vectors), SURE_OF[solver])
    assert (found.score > 0.1).all()
    assert found.low == pytest.approx(found.score, abs=1e-9) and found.high == pytest.approx(found.score, abs=1e-9)


@pytest.mark.parametrize("n", [2, 5])
def test_a_projection_has_students_interval(n: int) -> None:
    rows = np.random.default_rng(n).normal(size=(n, 3)) + 1.0
    result = score_phrase(rows, [2.0, 0.0, 0.0], alignment=1.0, options=SURE)
    alone = rows[:, 0] / 2.0
    half = student.ppf(0.95, n - 1) * alone.std(ddof=1) / np.sqrt(n)
    assert result.score == pytest.approx(alone.mean())
    assert result.high - result.score == pytest.approx(half) == result.score - result.low


@pytest.mark.parametrize(("alignment", "stretch"), [(1.0, 1.0), (0.5, 2.0), (0.2, 5.0), (0.1, 5.0)])
def test_an_alignment_below_the_floor_stretches_no_further(alignment: float, stretch: float) -> None:
    rows = np.random.default_rng(3).normal(size=(6, 2)) + 1.0
    found = [score_phrase(rows, [1.0, 0.0], alignment=known) for known in (1.0, alignment)]
    assert found[1].high - found[1].low == pytest.approx(stretch * (found[0].high - found[0].low))


@pytest.mark.parametrize(("solver", "negative"), [("nnls", False), ("ols", True), ("projection", True)])
def test_only_a_fit_without_negative_weights_has_no_negative_interval(
    solver: Literal["nnls", "ols", "projection"], negative: bool
) -> None:
    rows = np.random.default_rng(4).normal(size=(8, 2)) * 2.0 + [0.3, 0.0]
    result = score(rows, make_basis(["x"], [[1.0, 0.0]]), ScoreOptions(solver=solver))
    assert bool(result.low[0] < 0.0) == negative


@pytest.mark.parametrize("cosine", [1.0, 0.6, 0.0, -0.6, -1.0])
def test_a_phrase_has_its_cosine_with_the_change_of_either_sign(cosine: float) -> None:
    rows = np.tile([cosine, np.sqrt(1.0 - cosine**2)], (4, 1))
    assert score_phrase(rows, [2.0, 0.0]).cosine == pytest.approx(cosine)


def test_a_cosine_never_leaves_its_range() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 7))
    plain = (unit(rows) * unit(rows)).sum(axis=-1)
    assert plain.max() > 1.0, "rounding alone goes beyond"
    assert cosines(rows, rows).max() <= 1.0 and cosines(rows, -rows).min() >= -1.0


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_differences_need_a_probe_and_a_dimension(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="differences"):
        as_rows(np.zeros(shape), "differences")


def test_what_the_maths_returns_cannot_be_changed_afterwards() -> None:
    modules = [import_module(f"auditor.finexl.{found.name}") for found in iter_modules(finexl.__path__)]
    records = {c for m in modules for _, c in inspect.getmembers(m, inspect.isclass) if is_dataclass(c)}
    public = [c for c in records if not c.__name__.startswith("_")]
    assert len(public) > 15
    for record in public:
        with pytest.raises(FrozenInstanceError):
            object.__new__(record).anything = 1


def test_the_upper_end_takes_all_weights_for_real_where_that_reaches_further() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 2)) * 0.4 + np.array([1.0, 0.1])
    vectors = np.array([[1.0, 0.0], [-0.6, 0.8]])
    result = score(rows, make_basis(["x", "y"], vectors))
    assert result.score[1] > 0.0 == result.low[1]
    both, alone = (rows @ np.linalg.pinv(vectors))[:, 0], rows[:, 0]
    ends = [x.mean() + student.ppf(0.975, 11) * x.std(ddof=1) / np.sqrt(12) for x in (both, alone)]
    assert result.high[0] == pytest.approx(ends[0], abs=1e-4) and ends[0] > ends[1] + 0.01


def test_one_probe_reaches_as_far_as_the_change_over_the_atoms_length() -> None:
    result = score([[0.3, 0.4]], make_basis(["x"], [[2.0, 0.0]]))
    assert (result.score[0], result.low[0]) == (pytest.approx(0.15), 0.0)
    assert result.high[0] == pytest.approx(0.15 + 0.25, abs=1e-5)


def test_changes_that_cancel_explain_nothing() -> None:
    result = score([[1.0, 0.0], [-1.0, 0.0]], make_basis(["x"], [[1.0, 0.0]]))
    assert (result.norm, result.score[0], result.explained_share) == (0.0, 0.0, 0.0)


def test_a_change_without_direction_that_is_also_below_the_floor_is_said_to_have_no_direction() -> None:
    rng = np.random.default_rng(3)
    rows, seeds = (rng.normal(size=(n, 64)) / 8.0 for n in (30, 50))
    result = effect_test(rows, seeds)
    assert result.p_value > 0.05 and result.norm < result.floor
    assert result.reason == "no_common_direction"


def test_a_p_value_at_its_level_is_an_effect() -> None:
    rows = np.ones((6, 4))
    assert sign_flip_p_value(rows) == 2.0**-5
    assert effect_test(rows, alpha=2.0**-5).reason == "effect"
    assert effect_test(rows, alpha=0.99 * 2.0**-5).reason == "too_few_probes"


def test_the_floor_is_a_quantile_by_alpha_and_rounding_where_other_seeds_change_nothing() -> None:
    rng = np.random.default_rng(5)
    rows, seeds = (rng.normal(size=(n, 64)) / 8.0 for n in (30, 50))
    strict, lax = (effect_test(rows, seeds, alpha=alpha).floor for alpha in (0.05, 0.5))
    assert lax < 0.95 * strict
    assert effect_test(rows, np.zeros((4, 64))).floor == ROUNDING == effect_test(rows).floor
    assert sign_flip_p_value(rows[:1]) == 1.0


def test_the_floor_is_never_below_rounding_though_other_seeds_change_little_more() -> None:
    rows = np.full((400, 1), 0.8e-6)
    rows[0] = 1.2e-6
    result = effect_test(rows, np.array([[2e-6], [-2e-6]]))
    assert (result.p_value < 0.01, result.floor, result.reason) == (True, ROUNDING, "below_floor")
