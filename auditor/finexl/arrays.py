"""Checked arrays and the few vector operations that every module of this room shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

TINY = 1e-12
"""Norms at or below this count as zero: unit-length features cannot resolve less in float32."""


def as_array(values: ArrayLike, name: str, ndim: int) -> FloatArray:
    """Return `values` as finite float64 with `ndim` axes.

    Raises:
        ValueError: The number of axes is wrong, or a value is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinite values; drop those images before scoring")
    return array


def as_rows(values: ArrayLike, name: str) -> FloatArray:
    """Return `values` as a finite (n, D) matrix with at least one row and one column."""
    array = as_array(values, name, 2)
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise ValueError(f"{name} needs at least one row and one column, got shape {array.shape}")
    return array


def as_vectors(values: ArrayLike, name: str, dimension: int) -> FloatArray:
    """Return `values` as finite (k, D) vectors, where k may be 0 and D must equal `dimension`."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 and (array.ndim < 2 or array.shape[0] == 0):
        return np.zeros((0, dimension))
    array = as_array(array, name, 2)
    if array.shape[1] != dimension:
        raise ValueError(f"{name} have {array.shape[1]} dimensions, expected {dimension}")
    return array


def unit(vectors: FloatArray) -> FloatArray:
    """Scale the last axis to length one; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.where(norms > TINY, vectors / np.where(norms > TINY, norms, 1.0), 0.0))


def unit_features(features: ArrayLike, name: str, ndim: int = 2) -> FloatArray:
    """L2-normalise encoder features.

    Raises:
        ValueError: A feature is a zero vector; an encoder that returns one has failed on that item.
    """
    array = as_array(features, name, ndim)
    norms = np.linalg.norm(array, axis=-1, keepdims=True)
    if array.size and (norms <= TINY).any():
        raise ValueError(f"{name} holds a zero feature vector, which has no direction")
    return np.asarray(array / norms)


def cosines(left: FloatArray, right: FloatArray) -> FloatArray:
    """Cosine along the last axis, with broadcasting; 0 where either vector is zero."""
    return np.asarray(np.clip((unit(left) * unit(right)).sum(axis=-1), -1.0, 1.0))


def canonical_rows(rows: FloatArray) -> FloatArray:
    """Sort rows by value, so that nothing computed from them depends on the order of the probes."""
    order = np.argsort(rows[:, 0], kind="stable") if rows.shape[1] else np.arange(len(rows))
    if (np.diff(rows[order, :1], axis=0) == 0).any():  # the further columns are hundreds, and hardly ever needed
        order = np.lexsort(rows.T[::-1])
    return np.asarray(rows[order])


def remove_span(vectors: FloatArray, span: FloatArray) -> FloatArray:
    """Project `vectors` (..., D) off the orthonormal rows of `span` (r, D); r may be 0."""
    return np.asarray(vectors - (vectors @ span.T) @ span)
