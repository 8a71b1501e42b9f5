"""Concept directions f(C): from text (Eq. 6), from base renderings (Eq. 7), and from both together.

Text-side directions exist for any word but inherit the encoder's gap between text and images. Image-side
directions show what the base generator itself does with the word, with the same noise for the plain and the
worded prompt, but a base that ignores or confuses a word teaches nothing. Their cosine is the measured
alignment of a concept; `combine` offers several ways to use both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auditor.finexl.arrays import (
    TINY,
    FloatArray,
    as_array,
    as_vectors,
    cosines,
    remove_span,
    unit,
    unit_features,
)

CombineMode = Literal["text", "image", "mean", "agreement", "stacked", "either"]
CommonMode = Literal["none", "mean", "null"]
LengthMode = Literal["image", "text"]

MERGE_COSINE = 0.995
"""Concepts whose directions are closer than this are one direction with several names."""

MAX_NOISE = 1e6
"""Cap of `ConceptDirections.noise`; also stands for "no direction could be measured"."""

_CHUNK = 32  # concepts per block, so that float64 copies of (k, n, D) never exist whole


@dataclass(frozen=True, eq=False)
class ConceptDirections:
    """Directions of k concepts, measured on n probes on one side (text or image).

    Attributes:
        vectors: f(C), the mean over probes (k, D).
        noise: Sampling variance of each mean over its squared length, S / (n |mu|²) per concept (k,);
            at most `MAX_NOISE`.
        per_probe: The single differences (k, n, D) in the input's own precision, or None.
    """

    vectors: FloatArray
    noise: FloatArray
    per_probe: NDArray[np.floating] | None = None

    @property
    def count(self) -> int:
        """Number of concepts k."""
        return int(self.vectors.shape[0])


@dataclass(frozen=True, eq=False)
class CombinedDirections:
    """What the solvers use: one or two atoms per concept, in one or two views of the same space.

    Attributes:
        atoms: Directions (m, views * D). With two views both halves must explain V with the same weight.
        owner: Concept index of each atom (m,); weights of atoms with one owner add up to its score.
        views: 1, or 2 for the "stacked" mode.
        alignment: Cosine of text side and image side (k,), None when only one side is known.
    """

    atoms: FloatArray
    owner: NDArray[np.intp]
    views: int
    alignment: FloatArray | None


def directions(
    plain: ArrayLike, with_concept: ArrayLike, *, normalise: bool = True, keep_per_probe: bool = False
) -> ConceptDirections:
    """f(C) = mean over probes of enc(t_i and C) - enc(t_i) (Eq. 6 for texts, Eq. 7 for images).

    The paper sums in Eq. 6 and averages V; here both are averages, so that a weight does not shrink with n.

    Args:
        plain: Features of the plain prompts, or of the base images of them (n, D).
        with_concept: Features with each concept added (k, n, D), same probes and, for images, same noise.
        normalise: L2-normalise features first, as for V.
        keep_per_probe: Keep the (k, n, D) differences, in the precision of `with_concept`.

    Raises:
        ValueError: The shapes do not fit each other, or there are concepts and no probe.
    """
    base = as_array(plain, "plain features", 2)
    worded = np.asarray(with_concept)
    if len(worded) == 0:
        return ConceptDirections(np.zeros((0, base.shape[1])), np.zeros(0))
    if base.shape[0] == 0 or worded.ndim != 3 or worded.shape[1:] != base.shape:
        raise ValueError(
            f"features with a concept must have shape (k, n, D) over the plain features' (n, D); "
            f"got {worded.shape} and {base.shape}"
        )
    if normalise:
        base = unit_features(base, "plain features")
    blocks = [_block(base, worded[i : i + _CHUNK], normalise) for i in range(0, len(worded), _CHUNK)]
    vectors = np.concatenate([block.mean(axis=1) for block in blocks])
    noise = np.concatenate([_noise(block) for block in blocks])
    kept = None
    if keep_per_probe:
        dtype = worded.dtype if worded.dtype.kind == "f" else np.dtype(np.float64)
        kept = np.concatenate([block.astype(dtype) for block in blocks])
    return ConceptDirections(vectors, noise, kept)


def common_span(
    vectors: ArrayLike,
    *,
    mode: CommonMode = "null",
    null_vectors: ArrayLike | None = None,
    share: float = 0.9,
    max_rank: int = 3,
) -> FloatArray:
    """Orthonormal rows (r, D) spanning what every appended text adds, whatever it says.

    Mind "mean" together with non-negative weights: vectors of equal length without their mean sum to zero, so
    any concept can be taken away by adding all the others, and non-negativity no longer forbids anything.
    "null" does not have this effect.

    Args:
        vectors: Concept directions of the whole lexicon (k, D), for mode "mean".
        mode: "none" gives r = 0; "mean" the mean of the unit concept directions; "null" the leading
            directions of a null set of neutral words.
        null_vectors: Directions of the neutral words (m, D), for mode "null".
        share: Share of the null set's energy to span.
        max_rank: Most directions the null set may take.
    """
    known = as_array(vectors, "concept vectors", 2)
    empty = np.zeros((0, known.shape[1]))
    if mode == "none":
        return empty
    if mode == "mean":
        # Near-duplicates share one vote, so that listing a concept twice changes nothing.
        pointing = unit(known)
        votes = 1.0 / np.maximum((pointing @ pointing.T > MERGE_COSINE).sum(axis=1), 1)
        mean = votes @ pointing / max(1.0, float(votes.sum()))
        return unit(mean)[None, :] if np.linalg.norm(mean) > TINY else empty
    if null_vectors is None:
        raise ValueError("common direction 'null' needs the directions of the neutral words")
    null = as_vectors(null_vectors, "neutral word vectors", known.shape[1])
    if np.linalg.norm(null) <= TINY:
        return empty
    _, singular, rows = np.linalg.svd(null, full_matrices=False)
    energy = np.cumsum(singular**2) / (singular**2).sum()
    rank = min(max_rank, int(np.searchsorted(energy, share - 1e-12)) + 1, int((singular > TINY).sum()))
    return np.asarray(rows[:rank])


def alignment(text: ArrayLike, image: ArrayLike) -> FloatArray:
    """Cosine of text-side and image-side direction of each concept (k,); 0 where either is zero."""
    left, right = as_array(text, "text-side vectors", 2), as_array(image, "image-side vectors", 2)
    if left.shape != right.shape:
        raise ValueError(f"text and image side must hold the same concepts, got {left.shape}, {right.shape}")
    return cosines(left, right)


def combine(
    text: ConceptDirections | None,
    image: ConceptDirections | None,
    mode: CombineMode = "mean",
    *,
    text_span: FloatArray | None = None,
    image_span: FloatArray | None = None,
    minimum_norm: float = 0.25,
    length: LengthMode = "image",
) -> CombinedDirections:
    """Build solver atoms from the two sides.

    Modes: "text" and "image" use one side's direction. "mean" uses the mean of both unit directions.
    "agreement" weighs each side by 1 / (its sampling noise + the disagreement 1 - cos of the sides), as a
    random-effects average does, so an even split where the sides disagree and the better measured side
    where they agree. "stacked" asks one weight to fit V in both views at once. "either" offers both
    directions as atoms of their own and adds their weights.

    Units: when the image side is known, every atom has the length of the image-side vector, so a score of
    1 means "as much as asking the base model for the concept in words". A word that the base hardly
    reacts to would make that unit tiny and its scores huge, so lengths are at least `minimum_norm` times the
    lexicon's median. With the text side alone, vectors keep their own length.

    Args:
        text: Text-side directions, or None when mode is "image".
        image: Image-side directions, or None when mode is "text".
        mode: See above.
        text_span: Common directions to project off the text side (r, D), from `common_span`.
        image_span: The same for the image side. Atoms off a span do not see what V has inside it, so V
            itself is never changed.
        minimum_norm: Floor of the unit, as a share of the median length of the side that gives it.
        length: "image" as said under Units; "text" gives every atom the length of its text side, so that 1 means
            "as far as the words reach in the text encoder". That unit exists for words the base does not know.
    """
    _check_sides(text, image, mode)
    texts = None if text is None else _without(text.vectors, text_span)
    images = None if image is None else _without(image.vectors, image_span)
    aligned = alignment(texts, images) if texts is not None and images is not None else None
    if text is None or texts is None:
        assert images is not None
        return CombinedDirections(_scaled(images, images, minimum_norm), np.arange(len(images)), 1, None)
    owner = np.arange(len(texts))
    if image is None or images is None or aligned is None:
        return CombinedDirections(texts, owner, 1, None)
    lengths = texts if length == "text" else images
    text_atoms, image_atoms = _scaled(texts, lengths, minimum_norm), _scaled(images, lengths, minimum_norm)
    if mode == "stacked":
        return CombinedDirections(np.hstack([text_atoms, image_atoms]) / np.sqrt(2.0), owner, 2, aligned)
    if mode == "either":
        both = np.concatenate([text_atoms, image_atoms])
        return CombinedDirections(both, np.concatenate([owner, owner]), 1, aligned)
    atoms = {"text": text_atoms, "image": image_atoms}.get(mode)
    if atoms is None:
        text_weight, image_weight = np.ones(len(owner)), np.ones(len(owner))
        if mode == "agreement":
            text_weight = 1.0 / (text.noise + 1.0 - aligned + TINY)
            image_weight = 1.0 / (image.noise + 1.0 - aligned + TINY)
        mixed = text_weight[:, None] * unit(texts) + image_weight[:, None] * unit(images)
        atoms = _scaled(mixed, lengths, minimum_norm)
    return CombinedDirections(atoms, owner, 1, aligned)


def half_differences(
    text: ArrayLike, image: ArrayLike, text_span: FloatArray | None = None, image_span: FloatArray | None = None
) -> FloatArray:
    """Half the difference between the unit directions of both sides (k, D): as large as their mean's expected error.

    Args:
        text: Text-side vectors (k, D).
        image: Image-side vectors (k, D).
        text_span: As in `combine`.
        image_span: As in `combine`.
    """
    texts = _without(as_array(text, "text-side vectors", 2), text_span)
    images = _without(as_array(image, "image-side vectors", 2), image_span)
    return np.asarray((unit(texts) - unit(images)) / 2.0)


def _check_sides(text: ConceptDirections | None, image: ConceptDirections | None, mode: str) -> None:
    if mode not in get_args(CombineMode):
        raise ValueError(f"unknown mode {mode!r}; choose one of {', '.join(get_args(CombineMode))}")
    if mode != "image" and text is None:
        raise ValueError(f"mode {mode!r} needs text-side directions")
    if mode != "text" and image is None:
        raise ValueError(f"mode {mode!r} needs image-side directions")


def _block(base: FloatArray, worded: NDArray[np.floating], normalise: bool) -> FloatArray:
    check = unit_features if normalise else as_array
    return np.asarray(check(worded, "features with a concept", 3) - base)


def _noise(block: FloatArray) -> FloatArray:
    """S / (n |mu|²) of each concept (k,) from its per-probe differences (k, n, D); see divergence.py."""
    n = block.shape[1]
    if n == 1:
        return np.full(block.shape[0], MAX_NOISE)
    mean_square = (block**2).sum(axis=2).mean(axis=1)
    signal = (n * (block.mean(axis=1) ** 2).sum(axis=1) - mean_square) / (n - 1)
    spread = np.maximum(mean_square - signal, 0.0)
    known = signal > TINY**2
    noise = np.where(known, spread / np.where(known, n * signal, 1.0), MAX_NOISE)
    return np.asarray(np.minimum(noise, MAX_NOISE))


def _without(vectors: FloatArray, span: FloatArray | None) -> FloatArray:
    return vectors if span is None else remove_span(vectors, span)


def _scaled(vectors: FloatArray, measure: FloatArray, minimum_norm: float) -> FloatArray:
    """`vectors` (k, D) with the lengths of `measure` (k, D), which are kept off zero."""
    lengths = np.linalg.norm(measure, axis=1, keepdims=True)
    floor = minimum_norm * float(np.median(lengths)) if len(lengths) else 0.0
    return np.asarray(unit(vectors) * np.maximum(lengths, floor))
