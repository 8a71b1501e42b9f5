"""Algorithm 1 against a literal transcription of its pseudo-code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.finexl.paper import explain_paper


def transcription(
    v: np.ndarray, candidates: list[np.ndarray], e_ortho: float, e_decomp: float
) -> tuple[list[int], np.ndarray]:
    """The second half of Algorithm 1, line by line; e_decomp is a share of |V| (App. B)."""
    c_ortho: list[int] = []
    w = np.zeros(0)
    for i in range(len(candidates)):
        orthogonality = 0.0
        for j in c_ortho:
            inner = candidates[i] @ candidates[j]
            orthogonality += inner / (np.linalg.norm(candidates[i]) * np.linalg.norm(candidates[j]))
        if orthogonality < e_ortho:
            c_ortho.append(i)
            f = np.array([candidates[j] for j in c_ortho]).T
            w = np.linalg.pinv(f) @ v
            e = np.linalg.norm(v - f @ w)
            if e < e_decomp * np.linalg.norm(v):
                break
    return c_ortho, w


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(2, 6), st.floats(0.05, 1.5), st.floats(0.1, 0.9))
def test_equals_the_transcription(seed: int, count: int, dimension: int, ortho: float, decomp: float) -> None:
    rng = np.random.default_rng(seed)
    v, vectors = rng.normal(size=dimension), rng.normal(size=(count, dimension))
    names = [f"c{i}" for i in range(count)]
    result = explain_paper(v, names, vectors, e_ortho=ortho, e_decomp=decomp)
    kept, weights = transcription(v, list(vectors), ortho, decomp)
    assert result.names == tuple(names[i] for i in kept)
    assert result.weights == pytest.approx(weights, rel=1e-5, abs=1e-7)


def test_first_candidate_is_always_kept_and_opposites_cancel() -> None:
    vectors = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0.99, 0.1, 0]])
    result = explain_paper([0, 0, 1.0], ["a", "not a", "a again"], vectors, e_ortho=0.2)
    assert result.names == ("a", "not a", "a again")
    assert result.relative_residual == pytest.approx(1.0)
    assert result.stop_reason == "candidates_exhausted"


def test_stops_at_the_residual_and_traces_rejections() -> None:
    vectors = np.array([[1.0, 0, 0], [1.0, 0.1, 0], [0, 1.0, 0], [0, 0, 1.0]])
    result = explain_paper([1.0, 1.0, 0], list("abcd"), vectors, e_ortho=0.5)
    assert result.names == ("a", "c") and result.stop_reason == "residual_reached"
    assert [(s.name, s.accepted) for s in result.trace] == [("a", True), ("b", False), ("c", True)]
    assert result.trace[1].relative_residual is None


def test_a_residual_at_the_limit_is_not_yet_below_it() -> None:
    vectors = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    target = [4.0, 3.0, 0.0]
    first = explain_paper(target, ["a"], vectors[:1])
    assert first.relative_residual == 0.6
    at_limit = explain_paper(target, list("abc"), vectors, e_ortho=0.5, e_decomp=0.6)
    assert at_limit.names == ("a", "b")
    assert explain_paper(target, list("abc"), vectors, e_ortho=0.5, e_decomp=0.61).names == ("a",)
    only = explain_paper(target, ["a"], vectors[:1], e_decomp=0.6)
    assert only.stop_reason == "candidates_exhausted"


def test_degenerate_inputs() -> None:
    nothing = explain_paper(np.zeros(3), ["a"], np.ones((1, 3)))
    assert (nothing.stop_reason, nothing.relative_residual, nothing.trace) == ("no_effect", 0.0, ())
    empty = explain_paper(np.ones(3), [], [])
    assert (empty.names, empty.weights, empty.relative_residual) == ((), (), 1.0)
    collinear = explain_paper([1.0, 1.0], ["a", "b"], [[1.0, 0], [2.0, 0]], e_ortho=2.0)
    assert np.isfinite(collinear.weights).all()
    assert explain_paper([1.0, 1.0], ["zero"], [[0.0, 0]]).weights == (0.0,)
    with pytest.raises(ValueError, match="names"):
        explain_paper(np.ones(3), ["a"], np.ones((2, 3)))
    with pytest.raises(ValueError, match="NaN"):
        explain_paper([np.nan, 1.0], ["a"], np.ones((1, 2)))


@pytest.mark.parametrize(("limit", "kept"), [(0.6, ("a",)), (0.61, ("a", "b"))])
def test_a_sum_of_cosines_at_the_limit_is_not_below_it(limit: float, kept: tuple[str, ...]) -> None:
    result = explain_paper([1.0, 5.0], ["a", "b"], [[1.0, 0.0], [3.0, 4.0]], e_ortho=limit)
    assert [step.orthogonality for step in result.trace] == [0.0, 0.6]
    assert result.names == kept
