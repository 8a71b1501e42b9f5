"""Signed levels: their unit, order, intervals and penalty."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import sem
from scipy.stats import t as student

from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.attribution import rank_error
from auditor.finexl.basis import Basis, make_basis
from auditor.finexl.concepts import CombinedDirections, CombineMode, ConceptDirections, combine, half_differences
from auditor.finexl.levels import PENALTIES, choose_penalty, level_map, levels, reliability
from auditor.finexl.solvers import solve


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def measured(
    seed: int, count: int, dimension: int, alignment: float, share: float = 0.14
) -> tuple[FloatArray, Basis, FloatArray]:
    """True directions, the basis that two noisy sides make of them, and half the difference of the sides."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=dimension)
    truth = unit(np.sqrt(1 - share) * rng.normal(size=(count, dimension)) + np.sqrt(share) * common)
    text, image = (
        unit(np.sqrt(alignment) * truth + np.sqrt(1 - alignment) * unit(rng.normal(size=truth.shape))) for _ in range(2)
    )
    known = np.full(count, 0.1)
    combined = combine(ConceptDirections(text, known), ConceptDirections(image, known), "mean", length="text")
    return truth, make_basis(names(count), combined), half_differences(text, image)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(PENALTIES), st.floats(-2, 2))
def test_a_concept_alone_has_its_own_amount_as_level(seed: int, penalty: float, amount: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(7, 12))
    mapping = level_map(make_basis(names(7), vectors), penalty)
    found = levels(np.tile(amount * vectors[3], (5, 1)), mapping)
    assert found.level[3] == pytest.approx(amount, abs=1e-9)


@pytest.mark.parametrize("mode", ["mean", "stacked", "either"])
def test_levels_are_linear_in_v_and_one_matrix_makes_them(mode: CombineMode) -> None:
    rng = np.random.default_rng(2)
    sides = [ConceptDirections(rng.normal(size=(6, 9)), np.full(6, 0.1)) for _ in range(2)]
    mapping = level_map(make_basis(names(6), combine(sides[0], sides[1], mode)), 0.3)
    first, second = rng.normal(size=(8, 9)), rng.normal(size=(8, 9))
    both = levels(first - 2 * second, mapping).level
    assert both == pytest.approx(levels(first, mapping).level - 2 * levels(second, mapping).level)
    assert both == pytest.approx(mapping.matrix @ (first - 2 * second).mean(axis=0))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_students_over_probes(confidence: float) -> None:
    rng = np.random.default_rng(5)
    mapping = level_map(make_basis(names(3), rng.normal(size=(3, 7))), 0.1)
    rows = rng.normal(size=(9, 7))
    found = levels(rows, mapping, confidence=confidence)
    low, high = student.interval(confidence, 8, found.level, sem(rows @ mapping.matrix.T, axis=0))
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    alone = levels(rows[:1], mapping)
    reach = np.linalg.norm(rows[0]) * np.linalg.norm(mapping.matrix, axis=1)
    assert alone.high - alone.level == pytest.approx(reach) and alone.level - alone.low == pytest.approx(reach)


def test_what_leaks_into_a_level_is_the_part_of_v_that_is_not_its_own() -> None:
    amounts = np.array([3.0, 4.0, 1.0, 1.0])  # 9, 16, 1 and 1 of 27 of the square
    mapping = level_map(make_basis(names(4), np.eye(4)), 0.1)
    found = levels(np.tile(amounts, (6, 1)), mapping)
    assert found.level == pytest.approx(amounts)
    assert (found.doubt / found.doubt[0]) ** 2 == pytest.approx(np.array([18, 11, 26, 26]) / 18)


def test_names_of_one_direction_share_its_level_and_nothing_is_nothing() -> None:
    vectors = np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 0], [0, 1.0, 0]])
    mapping = level_map(make_basis(names(4), vectors), 0.5)
    found = levels(np.tile([0.5, 0, 0], (4, 1)), mapping)
    assert found.level == pytest.approx([0.5, 0.5, 0.0, 0.0])
    assert (levels(np.zeros((4, 3)), mapping).level == 0).all()


def test_amounts_of_neighbours_are_ordered_better_than_by_the_joint_fit() -> None:
    truth, basis, halves = measured(0, 120, 80, 0.5)
    rng = np.random.default_rng(1)
    mapping = level_map(basis, choose_penalty(basis, halves, 0.5 * rng.normal(size=(50, 80)), 25), halves)
    amounts, joint, signed = np.linspace(0.1, 1.0, 6), [], []
    for _ in range(60):
        asked, other = rng.choice(120, 2, replace=False)
        means = np.outer(amounts, truth[asked]) + np.outer(rng.uniform(0, 1, 6), truth[other])
        means += 0.1 * rng.normal(size=means.shape)
        joint.append(rank_error(amounts, [solve(v, basis.atoms, "nnls")[asked] for v in means]))
        signed.append(rank_error(amounts, means @ mapping.matrix[asked]))
    assert np.mean(signed) < 0.95 * np.mean(joint)


def covered(
    share: float, alignment: float = 0.5, *, remainder: float = 0.0, without: str = ""
) -> tuple[float, float, float]:
    """Share of longer audits, of present and of absent amounts that intervals cover, with one part left out.

    Args:
        share: Of a direction's square that all concepts have in common.
        alignment: Cosine of the two sides.
        remainder: Length of what no concept names, in amounts.
        without: "own_error", "leak" or nothing.
    """
    again, present, absent = [], [], []
    for seed in range(12):
        truth, basis, halves = measured(seed, 150, 110, alignment, share)
        mapping = level_map(basis, 1.0, halves)
        if without == "own_error":
            mapping = replace(mapping, own_error=np.zeros(150))
        rng = np.random.default_rng(seed)
        for _ in range(40):
            amounts = np.zeros(150)
            amounts[rng.choice(150, 2, replace=False)] = rng.uniform(0.3, 1.0, 2)
            mean = amounts @ truth + remainder * unit(rng.normal(size=110))
            found = levels(mean + 0.1 * rng.normal(size=(24, 110)), mapping)
            half = found.high - found.level
            again.append((np.abs(found.level - mapping.matrix @ mean) <= half).mean())
            whole = half if without == "leak" else np.hypot(half, 1.96 * found.doubt)
            inside = np.abs(found.level - amounts) <= whole
            present.append(inside[amounts > 0].mean())
            absent.append(inside[amounts == 0].mean())
    return float(np.mean(again)), float(np.mean(present)), float(np.mean(absent))


@pytest.mark.parametrize(("share", "remainder"), [(0.0, 0.0), (0.4, 0.0), (0.15, 0.7)])
def test_intervals_cover_longer_audits_and_true_amounts(share: float, remainder: float) -> None:
    again, present, absent = covered(share, remainder=remainder)
    assert 0.93 <= again <= 0.97
    assert 0.92 <= present <= 0.995
    assert 0.93 <= absent <= 0.97


def test_without_the_leak_or_the_error_of_directions_too_little_is_covered() -> None:
    whole, leak, own = (covered(0.4, 0.3, without=part) for part in ("", "leak", "own_error"))
    assert leak[2] < 0.8 < 0.93 <= whole[2]
    assert own[1] < whole[1] - 0.02


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_level_is_the_true_amount_on_average_whatever_concepts_have_in_common(share: float) -> None:
    truth, basis, halves = measured(1, 200, 150, 0.5, share)
    mapping = level_map(basis, 1.0, halves)
    response = (mapping.matrix * truth).sum(axis=1)
    assert np.mean(response) == pytest.approx(1.0, abs=0.04)
    by_alignment = (mapping.matrix * basis.atoms).sum(axis=1, keepdims=True) * mapping.reliability[:, None]
    before = (mapping.matrix / by_alignment * truth).sum(axis=1)
    assert (abs(np.mean(before) - 1.0) > 0.1) == (share > 0)


def test_a_neighbour_with_weight_puts_a_level_in_doubt() -> None:
    vectors = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0]])
    mapping = level_map(make_basis(names(3), vectors), 1.0)
    rows = np.tile(vectors[0], (5, 1))
    plain, aware = levels(rows, mapping), levels(rows, mapping, [1.0, 0.0, 0.0])
    assert aware.doubt[1] == pytest.approx(np.hypot(plain.doubt[1], aware.level[1]))
    assert aware.doubt[[0, 2]] == pytest.approx(plain.doubt[[0, 2]])


def test_noise_asks_for_a_larger_penalty() -> None:
    _, basis, halves = measured(5, 30, 40, 0.95)
    scatter = np.random.default_rng(6).normal(size=(60, 40))
    quiet, loud = (choose_penalty(basis, halves, size * scatter, 10) for size in (0.001, 2.0))
    assert quiet < loud


def test_a_few_badly_read_words_do_not_choose_the_penalty() -> None:
    rng, few = np.random.default_rng(7), 6
    truth = unit(rng.normal(size=(60, 40)) + rng.normal(size=40))
    sides = [unit(truth + 0.5 * unit(rng.normal(size=truth.shape))) for _ in range(2)]
    for side in sides:  # short, and towards what many others have in common
        side[:few] = 0.2 * unit(rng.normal(size=(few, 40)) + 3 * truth[30:].mean(axis=0))
    noise = 0.3 * np.random.default_rng(1).normal(size=(60, 40))

    def chosen(rows: slice) -> float:
        text, image = (ConceptDirections(side[rows], np.full(len(side[rows]), 0.01)) for side in sides)
        basis = make_basis(names(len(text.vectors)), combine(text, image, "mean", length="text"))
        halves = half_differences(text.vectors, image.vectors)
        return choose_penalty(basis, halves * np.linalg.norm(basis.atoms, axis=1)[:, None], noise, 24)

    assert chosen(slice(None)) == chosen(slice(few, None))


def test_a_penalty_that_is_not_above_zero_is_refused() -> None:
    for penalty in (0.0, -0.1):
        with pytest.raises(ValueError, match="above 0"):
            level_map(make_basis(names(1), [[1.0, 0.0]]), penalty)


def test_a_weight_leaks_only_by_the_neighbours_positive_amount() -> None:
    vectors = np.array([[1.0, 0, 0], [0.9, np.sqrt(1 - 0.81), 0], [0, 0, 1.0]])
    mapping = level_map(make_basis(names(3), vectors), 1.0)
    for rows, weights in ((-vectors[:1], [1.0, 0.0, 0.0]), (vectors[:1], [0.0, 0.0, 0.0])):
        found = np.tile(rows, (5, 1))
        assert levels(found, mapping, weights).doubt == pytest.approx(levels(found, mapping).doubt)


@pytest.mark.parametrize("cosine", [0.2, -0.2, 0.6, -0.6])
def test_leaks_of_either_sign_are_reckoned_only_where_they_are_large(cosine: float) -> None:
    mapping = level_map(make_basis(names(2), [[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]]), 32.0)
    leak = 32.0 * cosine / (33.0 - cosine**2)  # by inverting two by two
    expected = leak if abs(cosine) > 0.3 else 0.0
    assert mapping.leak == pytest.approx(np.array([[0.0, expected], [expected, 0.0]]))


def test_an_alignment_below_the_least_counts_as_the_least() -> None:
    vectors, halves = np.eye(4)[:3], 0.3 * np.eye(4)[1:]
    bases = [
        make_basis(names(3), CombinedDirections(vectors, np.arange(3), 1, np.full(3, aligned)))
        for aligned in (-0.5, 0.2, 0.5)
    ]
    assert [reliability(basis)[0] for basis in bases] == pytest.approx([(1 / 3) ** 0.5, (1 / 3) ** 0.5, (2 / 3) ** 0.5])
    below, least, above = (level_map(basis, 0.5, halves) for basis in bases)
    assert below.matrix == pytest.approx(least.matrix) and below.own_error == pytest.approx(least.own_error)
    assert above.matrix != pytest.approx(least.matrix)


@pytest.mark.parametrize(("error", "response"), [(0.1, 1 / 0.99), (5.0, 10.0)])
def test_a_level_is_scaled_up_for_errors_of_its_direction_but_at_most_tenfold(error: float, response: float) -> None:
    halves = np.array([[0.0, 0.0, error]] * 2)
    mapping = level_map(make_basis(names(2), np.eye(3)[:2]), 0.5, halves)
    assert np.diag(mapping.matrix @ np.eye(3)[:, :2]) == pytest.approx([response] * 2)
    assert (level_map(make_basis(names(2), np.eye(3)[:2]), 0.5).own_error == 0.0).all()


def test_the_scatter_that_the_interval_has_is_not_counted_as_a_leak_too() -> None:
    mapping = level_map(make_basis(names(200), np.eye(200)), 0.1)
    found = levels(np.random.default_rng(3).normal(size=(20, 200)), mapping)
    assert np.mean(found.doubt) < 0.5 / np.sqrt(20)


def test_more_probes_ask_for_a_smaller_penalty() -> None:
    _, basis, halves = measured(5, 30, 40, 0.95)
    scatter = np.random.default_rng(6).normal(size=(60, 40))
    assert choose_penalty(basis, halves, scatter, 10000) < choose_penalty(basis, halves, scatter, 10)


@pytest.mark.parametrize("seed", range(4))
def test_neither_side_of_a_concept_counts_for_more_in_the_choice_of_a_penalty(seed: int) -> None:
    _, basis, halves = measured(seed, 30, 40, 0.5)
    noise = 0.5 * np.random.default_rng(6).normal(size=(60, 40))
    assert choose_penalty(basis, halves, noise, 24) == choose_penalty(basis, -halves, noise, 24)


def test_a_level_is_scaled_by_what_the_other_atoms_leave_of_a_direction_and_of_its_error() -> None:
    """1 - h'P h / a'P a, with P made of the others alone; a share below a tenth counts as one."""
    rng = np.random.default_rng(8)
    atoms, halves = rng.normal(size=(5, 8)), 0.3 * rng.normal(size=(5, 8))
    mapping = level_map(make_basis(names(5), atoms), 0.5, halves)
    strength = 0.5 * (atoms**2).sum(axis=1).mean()
    shares = []
    for place, (atom, half) in enumerate(zip(atoms, halves, strict=True)):
        others = np.delete(atoms, place, axis=0)
        rest = np.linalg.inv(strength * np.eye(8) + others.T @ others)
        shares.append(max(0.1, 1 - (half @ rest @ half) / (atom @ rest @ atom)))
    assert (mapping.matrix * atoms).sum(axis=1) == pytest.approx(1 / np.array(shares))


def test_a_level_is_in_doubt_by_how_well_the_share_of_its_direction_is_known() -> None:
    """A share of 3/4 is that of sides of cosine 0.6; in 3 dimensions its square is known to within 0.64 / 3."""
    mapping = level_map(make_basis(names(2), np.eye(3)[:2]), 0.5, np.array([[0.0, 0.0, 0.5]] * 2))
    assert mapping.own_error == pytest.approx([0.64 / 3 / (2 * 0.6 * 1.6) ** 2] * 2)


def test_errors_of_directions_that_sum_to_zero_are_errors_all_the_same() -> None:
    vectors = np.array([[1.0, 0.0, 0.3], [0.0, 1.0, 0.3]])
    known, other = (
        level_map(make_basis(names(2), vectors), 0.5, np.array([[0.0, 0.0, 0.2], [0.0, 0.0, last]])).own_error
        for last in (-0.2, -0.2001)
    )
    assert known == pytest.approx(other, rel=1e-2) and (known > 0.001).all()


def test_levels_of_concepts_with_a_direction_divide_by_no_zero() -> None:
    _, basis, halves = measured(2, 20, 16, 0.5)
    with np.errstate(all="raise"):
        assert np.isfinite(level_map(basis, 0.3, halves).matrix).all()


def test_penalties_rise_and_none_is_more_than_three_and_a_half_times_the_one_before() -> None:
    steps = np.array(PENALTIES[1:]) / np.array(PENALTIES[:-1])
    assert (steps > 1.0).all() and (steps <= 3.5).all()


@pytest.mark.parametrize("mode", ["stacked", "either"])
def test_with_several_atoms_or_views_per_concept_the_alignment_is_all_that_is_known_of_errors(
    mode: CombineMode,
) -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(5, 9))
    text, image = (truth + 0.4 * rng.normal(size=truth.shape) for _ in range(2))
    known = np.full(5, 0.1)
    both = combine(ConceptDirections(text, known), ConceptDirections(image, known), mode)
    basis = make_basis(names(5), both)
    own = np.stack([basis.atoms.reshape(-1, basis.views, 9)[basis.owner == c].mean(axis=(0, 1)) for c in range(5)])
    with_halves = level_map(basis, 0.3, half_differences(text, image))
    response = (with_halves.matrix * own * np.sqrt(basis.views)).sum(axis=1)
    assert response == pytest.approx(1 / reliability(basis))
    assert with_halves.matrix == pytest.approx(level_map(basis, 0.3).matrix)


@pytest.mark.parametrize(("seed", "size", "probes"), [(0, 0.3, 24), (1, 1.0, 4), (2, 0.05, 100), (3, 3.0, 12)])
def test_the_penalty_has_the_least_median_expected_error(seed: int, size: float, probes: int) -> None:
    """Two thirds of the mean leak of either side, a third of the error of a level's own direction, and noise / n."""
    _, basis, halves = measured(seed, 40, 30, 0.5)
    noise = size * np.random.default_rng(seed).normal(size=(50, 30))
    wrong = halves / np.sqrt((1 + np.clip(basis.alignment, 0.2, 1)) / 2)[:, None]
    errors = []
    for penalty in PENALTIES:
        mapping = level_map(basis, penalty, halves)
        matrix = mapping.matrix / mapping.reliability[:, None]
        sides = np.stack([basis.atoms + halves, basis.atoms - halves])
        leak = [np.mean((np.delete(sides, c, axis=1) @ matrix[c]) ** 2) for c in range(40)]
        sizes = (wrong**2).sum(axis=1)
        own = ((matrix @ wrong.T) ** 2).sum(axis=1) / sizes.sum() * sizes
        errors.append(np.median(2 / 3 * np.array(leak) + own / 3 + ((noise @ matrix.T) ** 2).mean(axis=0) / probes))
    assert choose_penalty(basis, halves, noise, probes) == PENALTIES[int(np.argmin(errors))]


def test_of_a_single_concept_nothing_leaks_and_nothing_at_all_is_in_no_doubt() -> None:
    assert choose_penalty(make_basis(names(1), [[1.0, 0.0]]), None, np.ones((3, 2)), 5) == PENALTIES[-1]
    nothing = levels(np.ones((4, 3)), level_map(make_basis(names(2), np.zeros((2, 3))), 0.5))
    assert not nothing.level.any() and not nothing.doubt.any() and not nothing.high.any()
