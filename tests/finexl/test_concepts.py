"""Concept directions and the ways to combine text side and image side."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pytest
from numpy.typing import ArrayLike

from auditor.finexl.arrays import unit as of_length_one
from auditor.finexl.concepts import (
    MAX_NOISE,
    CombineMode,
    ConceptDirections,
    alignment,
    combine,
    common_span,
    directions,
    half_differences,
)

RNG = np.random.default_rng(0)


def side(vectors: ArrayLike, noise: float = 0.01) -> ConceptDirections:
    return ConceptDirections(np.asarray(vectors, dtype=float), np.full(len(np.asarray(vectors)), noise))


def test_direction_is_the_mean_paired_difference() -> None:
    plain, worded = RNG.normal(size=(4, 6)), RNG.normal(size=(3, 4, 6)).astype(np.float32)
    found = directions(plain, worded, normalise=False, keep_per_probe=True)
    assert np.allclose(found.vectors, (worded - plain).mean(axis=1), atol=1e-6)
    assert found.per_probe is not None and found.per_probe.dtype == np.float32
    unit = directions(plain, worded)
    expected = worded / np.linalg.norm(worded, axis=-1, keepdims=True)
    expected = expected - plain / np.linalg.norm(plain, axis=-1, keepdims=True)
    assert np.allclose(unit.vectors, expected.mean(axis=1), atol=1e-6)


def test_many_concepts_cross_the_block_boundary() -> None:
    plain, worded = RNG.normal(size=(2, 3)), RNG.normal(size=(70, 2, 3))
    assert np.allclose(directions(plain, worded, normalise=False).vectors, (worded - plain).mean(axis=1))


def test_no_concepts_have_no_directions_and_no_noise() -> None:
    empty = directions(np.ones((3, 4)), np.zeros((0, 3, 4)))
    assert empty.vectors.shape == (0, 4) and empty.noise.shape == (0,)


def test_concepts_without_a_probe_have_no_direction_and_are_refused() -> None:
    with pytest.raises(ValueError, match="features with a concept"):
        directions(np.zeros((0, 4)), np.zeros((2, 0, 4)))


def test_noise_is_the_spread_over_n_times_the_squared_mean() -> None:
    # mean (2, 0); mean square 6, signal (4 * 4 - 6) / 3, spread 6 less that
    worded = np.array([[[2.0, 0.0], [2.0, 0.0], [2.0, 2.0], [2.0, -2.0]]])
    noise = directions(np.zeros((4, 2)), worded, normalise=False).noise
    assert noise == pytest.approx([(8 / 3) / (4 * 10 / 3)])


def test_directions_of_noise_alone_have_the_most_noise_and_divide_by_no_zero() -> None:
    with np.errstate(all="raise"):
        found = directions(np.zeros((2, 2)), np.array([[[1.0, 0.0], [-1.0, 0.0]]]), normalise=False)
    assert found.noise.tolist() == [MAX_NOISE]


def test_noise_tells_steady_from_scattered_directions() -> None:
    plain = np.zeros((20, 5))
    steady = np.ones((20, 5)) + 0.01 * RNG.normal(size=(20, 5))
    scattered = RNG.normal(size=(20, 5))
    noise = directions(plain, np.stack([steady, scattered, plain]), normalise=False).noise
    assert noise[0] < 1e-4 < noise[1] <= noise[2] == MAX_NOISE
    assert (directions(plain[:1], steady[None, :1], normalise=False).noise == MAX_NOISE).all()


def test_no_concepts_and_bad_shapes() -> None:
    assert directions(np.ones((2, 3)), np.zeros((0, 2, 3))).count == 0
    with pytest.raises(ValueError, match="shape"):
        directions(np.ones((2, 3)), np.ones((1, 3, 3)))
    with pytest.raises(ValueError, match="NaN"):
        directions(np.ones((2, 3)), np.full((1, 2, 3), np.nan))


def test_common_span() -> None:
    shared = np.array([0.0, 0.0, 1.0])
    vectors = np.eye(3)[:2] + 3 * shared
    assert common_span(vectors, mode="none").shape == (0, 3)
    mean = common_span(vectors, mode="mean")
    assert mean[0, 2] > 0.9 and np.linalg.norm(mean) == pytest.approx(1.0)
    twice = np.concatenate([vectors, vectors[:1]])
    assert np.allclose(common_span(twice, mode="mean"), mean)
    null = common_span(vectors, mode="null", null_vectors=[shared, 2 * shared])
    assert null.shape == (1, 3) and abs(null[0, 2]) == pytest.approx(1.0)
    assert common_span(np.zeros((2, 3)), mode="mean").shape == (0, 3)
    assert common_span(np.zeros((0, 3)), mode="mean").shape == (0, 3)
    assert common_span(vectors, mode="null", null_vectors=np.zeros((2, 3))).shape == (0, 3)
    with pytest.raises(ValueError, match="neutral"):
        common_span(vectors, mode="null")


@pytest.mark.parametrize(
    ("share", "most", "rank"), [(0.85, 3, 1), (0.9, 3, 1), (0.95, 3, 2), (0.999, 3, 3), (0.999, 2, 2)]
)
def test_as_many_common_directions_as_hold_the_share_of_the_energy(share: float, most: int, rank: int) -> None:
    null = np.diag(np.sqrt([90.0, 6.0, 3.0, 1.0]))  # per cent of the energy
    span = common_span(np.eye(4), mode="null", null_vectors=null, share=share, max_rank=most)
    assert np.allclose(np.abs(span), np.eye(4)[:rank])


def test_alignment_of_a_zero_vector_is_zero() -> None:
    assert alignment([[1, 0], [0, 0]], [[1, 1], [1, 0]]) == pytest.approx([np.sqrt(0.5), 0.0])


@pytest.mark.parametrize("mode", get_args(CombineMode))
def test_units_are_image_side_lengths(mode: CombineMode) -> None:
    text, image = side([[1, 0, 0], [0, 4, 0]]), side([[0, 0, 2], [0, 3, 0]])
    combined = combine(text, image, mode)
    assert combined.alignment == pytest.approx([0.0, 1.0])
    lengths = np.linalg.norm(combined.atoms, axis=1)
    assert lengths == pytest.approx(np.tile([2.0, 3.0], len(lengths) // 2))
    assert combined.atoms.shape[1] == 3 * combined.views


def test_text_alone_keeps_its_length() -> None:
    combined = combine(side([[2, 0]]), None, "text")
    assert np.allclose(combined.atoms, [[2, 0]]) and combined.alignment is None


def test_weak_image_side_does_not_make_a_tiny_unit() -> None:
    image = side([[1, 0], [0, 1], [0, 1e-9]])
    assert np.linalg.norm(combine(None, image, "image").atoms[2]) == pytest.approx(0.25)
    both = combine(side([[1, 0], [0, 1], [1, 1]]), image, "mean")
    assert np.linalg.norm(both.atoms[2]) == pytest.approx(0.25)


def test_agreement_trusts_the_better_measured_side() -> None:
    first, second = np.array([[1.0, 0.2, 0]]), np.array([[1.0, -0.2, 0]])
    even = combine(side(first, 0.1), side(second, 0.1), "agreement").atoms[0]
    tilted = combine(side(first, 0.01), side(second, 5.0), "agreement").atoms[0]
    assert even[1] == pytest.approx(0.0)
    assert tilted[1] > 0.1
    apart = combine(side([[1, 0, 0]], 0.0), side([[0, 1, 0]], 1.0), "agreement").atoms[0]
    assert 0.3 < apart[1] / apart[0] < 1.0  # disagreement evens the weights out


def test_common_directions_leave_the_atoms() -> None:
    span = np.array([[0.0, 0.0, 1.0]])
    combined = combine(side([[1, 0, 5]]), side([[1, 0, 5]]), "mean", text_span=span, image_span=span)
    assert np.allclose(combined.atoms, [[1, 0, 0]])


def test_missing_sides_are_named() -> None:
    with pytest.raises(ValueError, match="image-side"):
        combine(side([[1, 0]]), None, "mean")
    with pytest.raises(ValueError, match="text-side"):
        combine(None, side([[1, 0]]), "text")
    with pytest.raises(ValueError, match="same concepts"):
        combine(side([[1, 0]]), side([[1, 0], [0, 1]]), "mean")
    assert combine(side(np.zeros((0, 2))), side(np.zeros((0, 2))), "mean").atoms.shape == (0, 2)


@pytest.mark.parametrize(("length", "units"), [("image", [6.0, 6.0, 1.5]), ("text", [2.0, 2.0, 0.5])])
def test_the_unit_is_the_length_of_the_side_asked_for_and_never_tiny(
    length: Literal["image", "text"], units: list[float]
) -> None:
    text, image = side([[2, 0], [0, 2], [1e-9, 1e-9]]), side([[6, 0], [0, 6], [1e-9, 1e-9]])
    for mode in ("mean", "text", "image"):
        lengths = np.linalg.norm(combine(text, image, mode, length=length).atoms, axis=1)
        assert lengths == pytest.approx(units)


def test_each_side_loses_its_own_common_directions_and_not_those_of_the_other() -> None:
    vector, of_text, of_image = [[1.0, 1.0, 1.0]], np.eye(3)[2:], np.eye(3)[1:2]
    both = combine(side(vector), side(vector), "either", text_span=of_text, image_span=of_image)
    left = of_length_one(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0]]))
    assert np.allclose(of_length_one(both.atoms), left)
    assert np.allclose(half_differences(vector, vector, of_text, of_image), (left[0] - left[1]) / 2)


def test_the_plain_mean_trusts_both_sides_alike_however_they_were_measured() -> None:
    atom = combine(side([[1.0, 0.2]], 0.01), side([[1.0, -0.2]], 5.0), "mean").atoms[0]
    assert atom[1] == pytest.approx(0.0)


def test_one_side_alone_has_no_alignment() -> None:
    assert combine(None, side([[2, 0]]), "image").alignment is None
