"""What an encoder must offer for the method to work (paper, section 6.7, Table 8): linear, orthogonal, aligned.

The renderer takes the place of the ideal model of Eq. 7: it draws a scene without and with a style, and nothing else
differs. Texts are the same scenes' captions without and with the style's word, joined as the lexicon joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditor.common.package_paths import expand
from auditor.encoding.encoder import Encoder
from auditor.encoding.encoder_kinds import ENCODER_KINDS
from auditor.errors import UserError
from auditor.finexl.arrays import FloatArray, unit
from auditor.finexl.attribution import Interval, bootstrap_mean
from auditor.finexl.concepts import alignment, directions
from auditor.lexicons.loader import Lexicon
from auditor.planning.encoder_opening import open_encoder
from auditor.pocket.scenes import Array, render, sample_scene
from auditor.pocket.styles import apply_style
from auditor.settings import EncoderSettings

SCENE_SEED = 211
"""Of scenes that no training has seen."""

POCKET_ENCODERS = ("package:pocket/weights/clip", "package:pocket/weights/siglip", "package:pocket/weights/align")
"""The pocket's own, each of another make."""


@dataclass(frozen=True)
class EncoderRow:
    """One encoder. Every interval resamples styles, and a pair counts for both of its styles.

    Attributes:
        encoder: As it was asked for.
        dimension: Of its space.
        linearity: Cosine of f(A and B) with the best sum of f(A) and f(B), over all pairs.
        linearity_chance: The same with the sum of two other styles.
        orthogonality: Absolute cosine of f(A) and f(B), over all pairs.
        orthogonality_chance: Of random directions in so many dimensions.
        signed: Mean cosine of f(A) and f(B): what the paper's wording can also mean.
        alignment: Cosine of f(A) from texts and from pictures.
        alignment_chance: The same between different styles.
    """

    encoder: str
    dimension: int
    linearity: Interval
    linearity_chance: float
    orthogonality: Interval
    orthogonality_chance: float
    signed: float
    alignment: Interval
    alignment_chance: float


@dataclass(frozen=True)
class EncoderTable:
    """The table; `cases` counts styles, `pairs` pairs of them, `scenes` the prompts that each mean is over."""

    styles: tuple[str, ...]
    cases: int
    pairs: int
    scenes: int
    rows: tuple[EncoderRow, ...]


def encoder_settings(text: str) -> EncoderSettings:
    """How an encoder is named on the command line.

    Args:
        text: A folder (`package:` stands for the installed package), whose files say of which kind it is;
            `KIND:FOLDER`; `open_clip:NAME/TAG`; or `KIND:REPO` with `@REVISION` where it is not `main`.

    Raises:
        UserError: It is none of these.
    """
    folder = expand(text)
    if (folder / "open_clip_config.json").is_file():
        return EncoderSettings(kind="open_clip", name=text, path=folder)
    if (folder / "config.json").is_file():
        return EncoderSettings(kind="transformers", name=text, path=folder)
    kind, _, name = text.partition(":")
    if kind in ENCODER_KINDS and expand(name).is_dir():
        return EncoderSettings(kind=kind, name=text, path=expand(name))
    model, _, weights = name.rpartition("/") if kind == "open_clip" else name.partition("@")
    try:
        return EncoderSettings(kind=kind, name=model, pretrained=weights or None)
    except ValueError as error:
        raise UserError(
            f"{text!r} is no encoder: give a folder with its files, open_clip:NAME/TAG, or transformers:REPO[@REVISION]"
        ) from error


def evaluate_encoders(
    encoders: Sequence[str],
    lexicon: Lexicon,
    styles: Sequence[str],
    scenes: int = 48,
    note: Callable[[str], None] | None = None,
) -> EncoderTable:
    """Measure every encoder on the same scenes.

    Args:
        encoders: As `encoder_settings` reads them.
        lexicon: Says how a word joins a prompt.
        styles: Names of the renderer's styles, at least four.
        scenes: Scenes, each with its caption.
        note: Told about each encoder.
    """
    if len(styles) < 4:
        raise UserError("linearity has no chance line with fewer than four styles")
    world = _World(lexicon, styles, scenes)
    rows = []
    for text in encoders:
        rows.append(world.measure(text, open_encoder(encoder_settings(text))))
        if note is not None:
            note(Path(text).name)
    count = len(styles)
    return EncoderTable(tuple(styles), count, count * (count - 1) // 2, scenes, tuple(rows))


def text_side(encoder: Encoder, prompts: Sequence[str], worded: Sequence[Sequence[str]]) -> FloatArray:
    """f(C) of Eq. 6 (k, D) from prompts without a word (n) and with each (k, n)."""
    plain = encoder.encode_texts(prompts)
    told = encoder.encode_texts([text for texts in worded for text in texts])
    return directions(plain, told.reshape(len(worded), len(prompts), -1)).vectors


class _World:
    """Scenes drawn once: plain, in every style, and what is said about them."""

    def __init__(self, lexicon: Lexicon, styles: Sequence[str], scenes: int) -> None:
        rng = np.random.default_rng(SCENE_SEED)
        drawn = [sample_scene(rng) for _ in range(scenes)]
        plain = [render(scene) for scene in drawn]
        self.prompts = [scene.caption() for scene in drawn]
        self.plain = _levels(plain)
        self.styled = [_levels([apply_style(image, style, 1.0, rng) for image in plain]) for style in styles]
        self.pairs = [(a, b) for a in range(len(styles)) for b in range(a + 1, len(styles))]
        alone = [[lexicon.phrase(prompt, style) for prompt in self.prompts] for style in styles]
        both = [[lexicon.phrase(text, styles[b]) for text in alone[a]] for a, b in self.pairs]
        self.alone, self.both = alone, both

    def measure(self, name: str, encoder: Encoder) -> EncoderRow:
        texts = text_side(encoder, self.prompts, [*self.alone, *self.both])
        single, joined = texts[: len(self.alone)], texts[len(self.alone) :]
        shown = np.stack([encoder.encode_images(images) for images in self.styled])
        images = directions(encoder.encode_images(self.plain), shown).vectors
        count, pointing = len(single), unit(single)
        between = pointing @ pointing.T
        linear = [span_cosine(f, single[list(pair)]) for f, pair in zip(joined, self.pairs, strict=True)]
        # Styles in a ring: two that are neither of the pair.
        others = [[k for k in range(count) if k not in pair] for pair in self.pairs]
        wrong = [
            span_cosine(f, single[[rest[i % len(rest)], rest[(i + 1) % len(rest)]]])
            for i, (f, rest) in enumerate(zip(joined, others, strict=True))
        ]
        crossed = unit(single) @ unit(images).T
        apart = ~np.eye(count, dtype=bool)
        return EncoderRow(
            name,
            encoder.dimension,
            self._over_styles(linear),
            float(np.mean(wrong)),
            self._over_styles([abs(between[a, b]) for a, b in self.pairs]),
            float(np.sqrt(2 / (np.pi * encoder.dimension))),
            float(between[apart].mean()),
            bootstrap_mean(alignment(single, images)),
            float(crossed[apart].mean()),
        )

    def _over_styles(self, of_pairs: Sequence[float]) -> Interval:
        """Mean over pairs; every style's own mean is one case."""
        by_style: dict[int, list[float]] = {}
        for pair, value in zip(self.pairs, of_pairs, strict=True):
            for style in pair:
                by_style.setdefault(style, []).append(float(value))
        return bootstrap_mean([float(np.mean(values)) for values in by_style.values()])


def span_cosine(vector: FloatArray, rows: FloatArray) -> float:
    """Cosine of a vector (D,) with the weighted sum of rows (k, D) that comes nearest to it; 0 for a zero vector."""
    weights = np.linalg.lstsq(rows.T, vector, rcond=None)[0]
    return float(unit(weights @ rows) @ unit(vector))


def _levels(images: Sequence[Array]) -> np.ndarray:
    return np.stack([np.round(image * 255).astype(np.uint8) for image in images])
