"""The rule that decides whether there is an effect at all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.significance import effect_test, noise_floor, sign_flip_p_value


def noise(rng: np.random.Generator, n: int, length: float = 0.5, dimension: int = 64) -> np.ndarray:
    return length * rng.normal(size=(n, dimension)) / np.sqrt(dimension)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_unchanged_images_have_no_effect(n: int) -> None:
    result = effect_test(np.zeros((n, 4)), np.ones((3, 4)))
    assert (result.status, result.reason, result.p_value, result.norm) == ("no_effect", "identical", 1.0, 0.0)
    assert effect_test(np.full((n, 4), 1e-9)).reason == "identical"


def test_few_probes_cannot_show_an_effect() -> None:
    for n in range(1, 6):
        assert effect_test(np.ones((n, 4))).reason == "too_few_probes"
    assert effect_test(np.ones((6, 4))).status == "effect"


def test_exact_p_value_is_the_count_over_all_patterns() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 3)) + 0.4
    observed = np.linalg.norm(rows.mean(axis=0))
    norms = [
        np.linalg.norm((np.array(signs)[:, None] * rows).mean(axis=0)) for signs in itertools.product([1, -1], repeat=7)
    ]
    assert sign_flip_p_value(rows) == pytest.approx(np.mean(np.array(norms) >= observed - 1e-12))


def test_monte_carlo_agrees_with_exact() -> None:
    rows = np.random.default_rng(1).normal(size=(12, 3)) + 0.25
    padded = np.concatenate([rows, np.zeros((1, 3))])  # a thirteenth probe without change alters nothing
    assert sign_flip_p_value(padded, resamples=4000) == pytest.approx(sign_flip_p_value(rows), abs=0.03)


def test_level_is_held_without_an_effect() -> None:
    rng = np.random.default_rng(2)
    p = [sign_flip_p_value(noise(rng, 20), resamples=200, seed=i) for i in range(200)]
    assert np.mean(np.array(p) <= 0.05) < 0.1
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_reshuffled_noise_is_no_effect_but_a_weak_consistent_change_is() -> None:
    rng = np.random.default_rng(3)
    seeds = noise(rng, 50)
    assert effect_test(noise(rng, 30, 0.4), seeds).status == "no_effect"
    weak = np.zeros((30, 64))
    weak[:, 0] = 0.02  # far inside |e_i| = 0.5, and even below the raw floor of 0.5 / sqrt(30)
    assert noise_floor(seeds, 30) > 0.02
    assert effect_test(weak + noise(rng, 30, 0.02), seeds).status == "effect"


def test_significant_but_invisible_is_below_the_floor() -> None:
    rng = np.random.default_rng(4)
    tiny = np.zeros((30, 64))
    tiny[:, 0] = 0.001
    result = effect_test(tiny, noise(rng, 50))
    assert result.reason == "below_floor" and result.p_value <= 0.05 and result.norm < result.floor
    assert effect_test(tiny).status == "effect"


def test_floor_follows_the_number_of_probes() -> None:
    seeds = noise(np.random.default_rng(5), 60)
    few, many = noise_floor(seeds, 10), noise_floor(seeds, 90)
    assert few / many == pytest.approx(3.0, rel=0.15)
    assert noise_floor(np.zeros((4, 3)), 5) == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 15), st.floats(0.0, 1.0), st.booleans())
def test_always_defined_and_free_of_order(seed: int, n: int, length: float, with_noise: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = noise(rng, n, length)
    seeds = noise(rng, 5) if with_noise else None
    result = effect_test(rows, seeds, resamples=100)
    assert result == effect_test(rng.permutation(rows), seeds, resamples=100)
    assert 0.0 < result.p_value <= 1.0
    assert np.isfinite([result.norm, result.floor]).all()


def test_bad_input_is_named() -> None:
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="alpha"):
            effect_test(np.ones((2, 2)), alpha=alpha)
    with pytest.raises(ValueError, match="dimensions"):
        effect_test(np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="NaN"):
        effect_test(np.full((2, 2), np.inf))
    with pytest.raises(ValueError, match="probes"):
        noise_floor(np.ones((2, 2)), 0)


def test_a_mean_that_other_seeds_would_give_too_is_below_the_floor_however_surely_it_is_there() -> None:
    """Pictures redrawn with other seeds all move along one line, so their means are longer than those of the d_i."""
    rng = np.random.default_rng(0)
    n, dimension = 24, 400
    line = rng.normal(size=(200, 1)) * np.eye(dimension)[0]
    rows = rng.normal(size=(n, dimension)) / np.sqrt(dimension)
    rows += 1.0 / np.sqrt(n) * np.eye(dimension)[1]
    result = effect_test(rows, line)
    assert result.p_value < 0.01
    assert (result.status, result.reason) == ("no_effect", "below_floor")
    assert result.norm < result.floor < 2.2 / np.sqrt(n)
    assert effect_test(rows, 0.1 * line[:, :1] * np.eye(dimension)[0] + 0.0).floor == pytest.approx(
        result.floor, rel=1e-6
    )
