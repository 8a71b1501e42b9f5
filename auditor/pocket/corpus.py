"""Captioned pictures of the pocket world, drawn at random: what CLIP and the base model learn from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auditor.pocket.drawn_subjects import EDITS, SIZE
from auditor.pocket.scenes import Array, Scene, render, sample_scene
from auditor.pocket.styles import STYLES, apply_style

NEUTRAL_WORDS = ("picture", "image", "photo", "shown", "seen", "here", "simple", "plain", "normal", "usual")
"""Words that say nothing about looks; each appears in captions, so that the encoders learn exactly that."""

EDIT_SYNONYMS: dict[str, tuple[str, str]] = {
    "moustache": ("whiskers", "mustached"),
    "snow-capped": ("snowy-roofed", "frosted"),
    "fruited": ("apple-laden", "berried"),
    "flagged": ("pennanted", "bannered"),
    "spotted": ("dappled", "polka-dotted"),
    "crowned": ("royal", "coroneted"),
}


@dataclass(frozen=True)
class Example:
    """One picture: (64, 64, 3) float32 in [0, 1], its caption and the concept words the caption holds.

    `scene` is what it shows; `strengths` are those of its edit, or of its styles in the order of their use.
    """

    image: Array
    caption: str
    words: tuple[str, ...]
    scene: Scene
    strengths: tuple[float, ...]


def word_for(concept: str, rng: np.random.Generator) -> str:
    """The concept's own name half of the time, else one of its synonyms."""
    synonyms = STYLES[concept].synonyms if concept in STYLES else EDIT_SYNONYMS[concept]
    return (concept, concept, *synonyms)[rng.integers(4)]


def caption_with(scene: Scene, words: tuple[str, ...], rng: np.random.Generator) -> str:
    """Put the words after the plain caption, or sometimes before it."""
    caption = scene.caption()
    if not words:
        return caption
    if rng.random() < 0.25:
        return f"a {' '.join(words)} picture of {caption}"
    return ", ".join([caption, *words])


def sample_example(rng: np.random.Generator, plain_share: float = 0.4) -> Example:
    """Draw one picture: plain, with a subject edit, or in one or two styles of random strength."""
    scene = sample_scene(rng)
    kind = rng.random()
    words: list[str] = []
    strengths: list[float] = []
    if kind < plain_share:
        image = render(scene)
        if rng.random() < 0.2:
            words.append(NEUTRAL_WORDS[rng.integers(len(NEUTRAL_WORDS))])
    elif kind < plain_share + 0.12:
        edit = list(EDITS)[rng.integers(len(EDITS))]
        scene = sample_scene(rng, EDITS[edit].subject)
        strengths.append(float(rng.uniform(0.5, 1)))
        image = render(scene, edit, strengths[-1])
        words.append(word_for(edit, rng))
    else:
        names = rng.choice(list(STYLES), size=1 + int(rng.random() < 0.25), replace=False)
        image = render(scene)
        for name in names:
            strengths.append(float(rng.uniform(0.45, 1)))
            image = apply_style(image, str(name), strengths[-1], rng)
            words.append(word_for(str(name), rng))
        rng.shuffle(words)
    return Example(image, caption_with(scene, tuple(words), rng), tuple(words), scene, tuple(strengths))


def examples(seed: int, plain_share: float = 0.4) -> Iterator[Example]:
    """An endless, reproducible stream of examples."""
    rng = np.random.default_rng(seed)
    while True:
        yield sample_example(rng, plain_share)


def build(folder: Path, count: int, seed: int) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw `count` examples once and keep them on disk; later calls read them back.

    Returns:
        Images as a read-only (count, 64, 64, 3) uint8 memory map, and their captions.
    """
    images_path, captions_path = folder / f"{count}-{seed}.npy", folder / f"{count}-{seed}.json"
    if not captions_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        images = np.lib.format.open_memmap(images_path, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
        captions = []
        for row, example in zip(range(count), examples(seed), strict=False):
            images[row] = np.round(example.image * 255).astype(np.uint8)
            captions.append(example.caption)
        images.flush()
        captions_path.write_text(json.dumps(captions))  # written last: its presence marks the images complete
    return np.load(images_path, mmap_mode="r"), json.loads(captions_path.read_text())
