"""Captioned pictures of the pocket world, drawn at random: what CLIP and the base model learn from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.pocket.second.scenes import EDITS, SIZE, Array, Scene, render, sample_scene
from auditor.pocket.second.styles import STYLES, apply_style
from auditor.pocket.second.words import (
    COLOUR_SYNONYMS,
    GROUND_WORDS,
    NEUTRAL_WORDS,
    PLACEMENTS,
    PLAIN_WORDS,
    STRONG,
    SUBJECT_SYNONYMS,
    WEAK,
    synonyms,
)

MOST_STYLES = 3
LEAST_STRENGTH, WEAK_BELOW, STRONG_ABOVE = 0.3, 0.5, 0.85
CHUNK = 1000
"""Pictures drawn from one seed; chunks are drawn by different processes."""


@dataclass(frozen=True)
class Example:
    """One picture: (64, 64, 3) float32 in [0, 1], its caption and the concept words the caption holds."""

    image: Array
    caption: str
    words: tuple[str, ...]


def word_for(concept: str, rng: np.random.Generator) -> str:
    """The concept's own name half of the time, else one of its synonyms."""
    return (concept, concept, *synonyms(concept))[rng.integers(4)]


def caption_with(scene: Scene, words: tuple[str, ...], rng: np.random.Generator) -> str:
    """Put the words after the plain caption, or sometimes before it."""
    caption = scene.caption()
    if not words:
        return caption
    if rng.random() < 0.25:
        return f"a {' '.join(words)} picture of {caption}"
    return ", ".join([caption, *words])


def _amount(word: str, strength: float, rng: np.random.Generator) -> str:
    """Half of the weak and strong effects are said to be so."""
    if rng.random() < 0.5:
        return word
    return f"{WEAK} {word}" if strength < WEAK_BELOW else f"{STRONG} {word}" if strength > STRONG_ABOVE else word


def _placed(scene: Scene, place: str, rng: np.random.Generator) -> Scene:
    if place in ("small", "large"):
        return replace(scene, radius=float(rng.uniform(0.14, 0.19) if place == "small" else rng.uniform(0.43, 0.5)))
    return replace(scene, x=float(rng.uniform(0.2, 0.28) if place == "left" else rng.uniform(0.72, 0.8)))


def _synonymous(caption: str, scene: Scene, rng: np.random.Generator) -> str:
    """Sometimes another word for subject or colour."""
    if rng.random() < 0.12:
        caption = caption.replace(scene.subject, SUBJECT_SYNONYMS[scene.subject])
    if rng.random() < 0.12:
        caption = caption.replace(f" {scene.colour} ", f" {COLOUR_SYNONYMS[scene.colour]} ")
    return caption


def _plain_words(scene: Scene, rng: np.random.Generator) -> list[str]:
    kind = rng.random()
    if kind < 0.2:
        return [NEUTRAL_WORDS[rng.integers(len(NEUTRAL_WORDS))]]
    if kind < 0.4:
        return [PLAIN_WORDS[rng.integers(len(PLAIN_WORDS))]]
    return [GROUND_WORDS[scene.ground]] if kind < 0.5 else []


def sample_example(rng: np.random.Generator, plain_share: float = 0.22) -> Example:
    """Draw one picture: plain, placed, with a subject edit, or in one to three styles of random strength."""
    scene = sample_scene(rng)
    kind = rng.random()
    words: list[str] = []
    if kind < plain_share:
        words += _plain_words(scene, rng)
        image = render(scene)
    elif kind < plain_share + 0.06:
        place = list(PLACEMENTS)[rng.integers(len(PLACEMENTS))]
        image = render(_placed(scene, place, rng))
        words.append(PLACEMENTS[place][rng.integers(2)])
    elif kind < plain_share + 0.18:
        edit = list(EDITS)[rng.integers(len(EDITS))]
        scene = sample_scene(rng, EDITS[edit].subject)
        strength = float(rng.uniform(0.4, 1))
        image = render(scene, edit, strength)
        words.append(_amount(word_for(edit, rng), strength, rng))
    else:
        count = 1 + int(rng.choice(MOST_STYLES, p=(0.6, 0.28, 0.12)))
        image = render(scene)
        for name in rng.choice(list(STYLES), size=count, replace=False):
            strength = float(rng.uniform(LEAST_STRENGTH, 1))
            image = apply_style(image, str(name), strength, rng)
            words.append(_amount(word_for(str(name), rng), strength, rng))
        rng.shuffle(words)
    return Example(image, _synonymous(caption_with(scene, tuple(words), rng), scene, rng), tuple(words))


def examples(seed: int, plain_share: float = 0.22) -> Iterator[Example]:
    """An endless, reproducible stream of examples."""
    chunk = 0
    while True:
        rng = np.random.default_rng([seed, chunk])
        for _ in range(CHUNK):
            yield sample_example(rng, plain_share)
        chunk += 1


def _draw_chunk(path: Path, count: int, seed: int, chunk: int) -> list[str]:
    images = np.load(path, mmap_mode="r+")
    rng = np.random.default_rng([seed, chunk])
    captions = []
    for row in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
        example = sample_example(rng)
        images[row] = np.round(example.image * 255).astype(np.uint8)
        captions.append(example.caption)
    images.flush()
    return captions


def build(folder: Path, count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw `count` examples once, on all cores, and keep them on disk; later calls read them back.

    Returns:
        Images as a read-only (count, 64, 64, 3) uint8 memory map, and their captions.
    """
    images_path, captions_path = folder / f"{count}-{seed}.npy", folder / f"{count}-{seed}.json"
    if not captions_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(images_path, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3)).flush()
        chunks = range(-(-count // CHUNK))
        with ProcessPoolExecutor(min(len(chunks), os.cpu_count() or 1)) as pool:
            drawn = pool.map(_draw_chunk, *zip(*((images_path, count, seed, c) for c in chunks), strict=True))
            captions = [caption for part in drawn for caption in part]
        captions_path.write_text(json.dumps(captions))  # written last: its presence marks the images complete
    return np.load(images_path, mmap_mode="r"), json.loads(captions_path.read_text())
