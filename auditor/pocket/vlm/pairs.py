"""Training pairs for the pocket VLM: the same scene without and with one or two concepts.

A pool is a folder with `images.npy`, uint8 (cases, pairs, 2, 64, 64, 3), and `concepts.json`, the concepts of
each case, strongest first. All pairs of a case share their concepts and differ in the scene. Other programs
may write pools too, for example from pictures of the pocket generator.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from auditor.pocket.corpus import EDIT_SYNONYMS
from auditor.pocket.drawn_subjects import EDITS, SIZE
from auditor.pocket.scenes import Array, Scene, render, sample_scene
from auditor.pocket.styles import STYLES, apply_style
from auditor.pocket.training.style_pairs import separable_pairs

PAIRS_PER_CASE = 4
MIN_STRENGTH = 0.35
Codec = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Sends (n, 64, 64, 3) uint8 pictures through an autoencoder and back."""

CONCEPTS: tuple[str, ...] = (*STYLES, *EDITS)


def synonyms(concept: str) -> tuple[str, str]:
    """The two other words for a style or an edit."""
    return STYLES[concept].synonyms if concept in STYLES else EDIT_SYNONYMS[concept]


@dataclass(frozen=True)
class Case:
    """What the personalised pictures of one case have gained: (concept, strength), in order of application."""

    concepts: tuple[tuple[str, float], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Concepts, strongest first, as the prompt asks for them."""
        return tuple(name for name, _ in sorted(self.concepts, key=lambda c: -c[1]))


@dataclass(frozen=True)
class Pool:
    """Cases on disk. `images` is (cases, pairs, 2, 64, 64, 3) uint8, base first."""

    images: NDArray[np.uint8]
    concepts: tuple[tuple[str, ...], ...]

    def of_size(self, *, several: bool) -> NDArray[np.intp]:
        """Cases with two concepts or more, or those with one or none."""
        return self._by_size[int(several)]

    @cached_property
    def _by_size(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        several = np.array([len(c) > 1 for c in self.concepts])
        return np.flatnonzero(~several), np.flatnonzero(several)


def sample_case(rng: np.random.Generator, *, edits: bool = True) -> Case:
    """Nothing in 10 % of cases, one style in 42 %, an edit in 8 %, two concepts in 40 %.

    Two styles are always such that both stay visible: a word for what nobody can see teaches silence.

    Args:
        rng: Source of chance.
        edits: Without, styles take the place of edits.
    """
    kind = rng.random()
    if kind < 0.10:
        return Case(())
    if kind < 0.18 and edits:
        names = [str(rng.choice(list(EDITS)))]
    elif kind < 0.60:
        names = [str(rng.choice(list(STYLES)))]
    elif kind < 0.64 and edits:
        names = [str(rng.choice(list(EDITS))), str(rng.choice(list(STYLES)))]
    else:
        pairs = separable_pairs(held_out=None)
        names = list(pairs[rng.integers(len(pairs))])
    strengths = rng.uniform(MIN_STRENGTH, 1, len(names))
    return Case(tuple((n, float(s)) for n, s in zip(names, strengths, strict=True)))


def _drift(scene: Scene, rng: np.random.Generator) -> Scene:
    """A generator's second picture is never the first one exactly: move, resize, redraw a little."""
    if rng.random() < 0.4:
        return scene
    return replace(
        scene,
        x=scene.x + float(rng.normal(0, 0.01)),
        y=scene.y + float(rng.normal(0, 0.01)),
        radius=scene.radius * float(rng.uniform(0.94, 1.06)),
        texture_seed=int(rng.integers(2**31)) if rng.random() < 0.3 else scene.texture_seed,
    )


def _roughen(image: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sometimes a slight blur or JPEG's blocks, as pictures from elsewhere have them."""
    pixels = np.round(image * 255).astype(np.uint8)
    kind = rng.random()
    if kind > 0.3:
        return pixels
    picture = Image.fromarray(pixels)
    if kind < 0.15:
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 0.7)))), dtype=np.uint8)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=int(rng.integers(50, 92)))
    return np.asarray(Image.open(buffer), dtype=np.uint8)


def draw_case(case: Case, rng: np.random.Generator, pairs: int = PAIRS_PER_CASE) -> NDArray[np.uint8]:
    """Render the pairs of a case: (pairs, 2, 64, 64, 3) uint8, base first.

    The first two pairs of a case with an edit show the edit's subject, since elsewhere it is invisible.
    """
    drawn = np.empty((pairs, 2, SIZE, SIZE, 3), dtype=np.uint8)
    edits = [(n, s) for n, s in case.concepts if n in EDITS]
    edit, edit_strength = edits[0] if edits else (None, 0.0)
    for row in range(pairs):
        subject = EDITS[edit].subject if edit and (row < 2 or rng.random() < 0.6) else None
        scene = sample_scene(rng, subject)
        image = render(_drift(scene, rng), edit, edit_strength)
        for name, strength in case.concepts:
            if name in STYLES:
                image = apply_style(image, name, strength, rng)
        drawn[row, 0], drawn[row, 1] = _roughen(render(scene), rng), _roughen(image, rng)
    return drawn


def build_pool(folder: Path, cases: int, seed: int, codec: Codec | None = None) -> Pool:
    """Render a pool, or read it back when it is complete; an interrupted build goes on where it stopped.

    Args:
        folder: Where the pool lies.
        cases: How many.
        seed: Case `i` depends on (seed, i) only.
        codec: When given, every second case passes through it, both pictures of a pair.
    """
    done = folder / "concepts.json"
    if done.is_file():
        return read_pool(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shape = (cases, PAIRS_PER_CASE, 2, SIZE, SIZE, 3)
    progress_file, images_file = folder / "progress.txt", folder / "images.npy"
    start = int(progress_file.read_text()) if progress_file.is_file() and images_file.is_file() else 0
    mode = "r+" if start else "w+"
    images = np.lib.format.open_memmap(images_file, mode=mode, dtype=np.uint8, shape=shape)
    concepts: list[list[str]] = []
    for i in range(cases):
        rng = np.random.default_rng([seed, i])
        case = sample_case(rng)
        concepts.append(list(case.names))
        if i < start:
            continue
        drawn = draw_case(case, rng)
        if codec is not None and i % 2:
            drawn = codec(drawn.reshape(-1, SIZE, SIZE, 3)).reshape(drawn.shape)
        images[i] = drawn
        if i % 1000 == 999:
            images.flush()
            progress_file.write_text(str(i + 1))
    images.flush()
    done.write_text(json.dumps(concepts))  # written last: its presence marks the pool complete
    progress_file.unlink(missing_ok=True)
    return read_pool(folder)


def read_pool(folder: Path) -> Pool:
    """Open a complete pool read-only."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    concepts = tuple(tuple(c) for c in json.loads((folder / "concepts.json").read_text()))
    if images.ndim != 6 or images.shape[2:] != (2, SIZE, SIZE, 3) or len(images) != len(concepts):
        raise ValueError(f"{folder} is not a pool: {images.shape} images, {len(concepts)} concept lists")
    return Pool(images, concepts)


def answer_text(concepts: tuple[str, ...], rng: np.random.Generator | None = None) -> str:
    """The target reply; with `rng` each concept is replaced by a synonym in a tenth of cases."""
    words = [c if rng is None or rng.random() >= 0.1 else synonyms(c)[rng.integers(2)] for c in concepts]
    return json.dumps({"concepts": words})
