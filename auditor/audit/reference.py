"""What every adapter of one recipe is compared with, made once and kept on disk.

Base images and their features, the noise floor, and both sides of every concept vector. A second adapter, or a
second run, reads it back and calls the base denoiser not once.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from auditor.crash import crash_point
from auditor.encoding.encoder import Encoder
from auditor.files import replacing
from auditor.finexl.concepts import ConceptDirections, directions
from auditor.generation.generator import Generator
from auditor.lexicons.loader import Lexicon
from auditor.probes.loader import ProbeSet
from auditor.records.recipe import Recipe

Floats = NDArray[np.float32]
NOISE_SEED_SHIFT = 1_000_003
"""Added to every probe's seed for the base-against-base noise floor."""

PICTURES_PER_CALL = 96
"""Concept pictures rendered per call: a multiple of usual batch sizes, and at 1024 pixels still 300 MB."""

_PARTS = ("base_fingerprint", "generation", "probe_set_hash", "probe_count", "looks", "seed", "encoder",
          "concept_template", "lexicon_hash")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reference:
    """Shared by all adapters of a recipe; n probes, k lexicon concepts, m image-side probes, D dimensions.

    Attributes:
        images: Base images (n, H, W, 3) uint8.
        features: Their embeddings (n, D).
        noise: Base with other seeds minus base (n, D): how far pictures scatter without any adapter.
        plain_texts: Embeddings of the plain prompts (n, D).
        text: Text-side directions f(C) of the lexicon (Eq. 6).
        image: Image-side directions (Eq. 7): the base renders t and t with C from the same noise.
        neutral_text: Text-side directions of the neutral words (r, D).
        neutral_image: Image-side directions of the neutral words (r, D).
    """

    images: NDArray[np.uint8]
    features: Floats
    noise: Floats
    plain_texts: Floats
    text: ConceptDirections
    image: ConceptDirections
    neutral_text: Floats
    neutral_image: Floats


def reference_key(recipe: Recipe) -> str:
    """Hash of the parts of a recipe that the reference depends on: solver and proposer may change freely."""
    parts = recipe.model_dump(mode="json", include=set(_PARTS))
    parts["image_probes"] = recipe.solver.get("image_probes")
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def load_or_make(
    folder: Path,
    recipe: Recipe,
    generator: Generator,
    encoder: Encoder,
    probes: ProbeSet,
    lexicon: Lexicon,
    *,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Reference:
    """Read the reference of a recipe, or make and publish it.

    Args:
        folder: Where references are kept.
        recipe: Decides the key.
        generator: The bare base; called only when there is nothing on disk.
        encoder: The recipe's encoder.
        probes: The n probes used.
        lexicon: The recipe's lexicon.
        on_step: Told (what, done, total) while image-side concepts are rendered.
    """
    path = folder / f"{reference_key(recipe)}.safetensors"
    if not path.exists():
        raw_image_probes = recipe.solver.get("image_probes")
        image_probes = min(int(raw_image_probes), len(probes)) if isinstance(raw_image_probes, int) else len(probes)
        chunks = chunk_bounds(len(probes), recipe.looks)
        _publish(path, _make(generator, encoder, probes, lexicon, image_probes, chunks, on_step))
    return load_reference(folder, recipe)


def load_reference(folder: Path, recipe: Recipe) -> Reference:
    """Read the reference of a recipe.

    Raises:
        FileNotFoundError: It was never made, or not in this folder.
    """
    path = folder / f"{reference_key(recipe)}.safetensors"
    arrays = load_file(path)
    return Reference(
        arrays["images"],
        arrays["features"],
        arrays["noise"],
        arrays["plain_texts"],
        ConceptDirections(arrays["text"].astype(np.float64), arrays["text_noise"].astype(np.float64)),
        ConceptDirections(arrays["image"].astype(np.float64), arrays["image_noise"].astype(np.float64)),
        arrays["neutral_text"],
        arrays["neutral_image"],
    )


def chunk_bounds(count: int, looks: Sequence[int]) -> list[tuple[int, int]]:
    """Slices between looks. Base and adapter are rendered in the same slices, so that batches round alike."""
    edges = [0, *sorted({look for look in looks if 0 < look < count}), count]
    return list(itertools.pairwise(edges))


def render(generator: Generator, prompts: Sequence[str], seeds: Sequence[int], chunks: list[tuple[int, int]],
           **options: float | bool) -> NDArray[np.uint8]:  # fmt: skip
    """Render prompts slice by slice (n, H, W, 3)."""
    parts = [generator.generate(prompts[a:b], seeds[a:b], **options) for a, b in chunks]  # type: ignore[arg-type]
    return np.concatenate(parts)


def text_directions(
    encoder: Encoder, plain: Floats, prompts: Sequence[str], phrases: Sequence[str], lexicon: Lexicon
) -> ConceptDirections:
    """Text-side f(C) of any phrases on the given prompts (Eq. 6)."""
    if not phrases:
        return ConceptDirections(np.zeros((0, plain.shape[1])), np.zeros(0))
    worded = encoder.encode_texts([lexicon.phrase(p, phrase) for phrase in phrases for p in prompts])
    return directions(plain, worded.reshape(len(phrases), len(prompts), -1))


def _make(
    generator: Generator,
    encoder: Encoder,
    probes: ProbeSet,
    lexicon: Lexicon,
    image_probes: int,
    chunks: list[tuple[int, int]],
    on_step: Callable[[str, int, int], None] | None,
) -> dict[str, NDArray[np.generic]]:
    prompts, seeds = list(probes.prompts), list(probes.seeds)
    images = render(generator, prompts, seeds, chunks)
    features = encoder.encode_images(images)
    other = render(generator, prompts, [s + NOISE_SEED_SHIFT for s in seeds], chunks)
    plain = encoder.encode_texts(prompts)
    phrases = [*lexicon.names, *lexicon.neutral_words]
    text = text_directions(encoder, plain, prompts, phrases, lexicon)
    few, few_seeds = prompts[:image_probes], seeds[:image_probes]
    plain_shown, worded = _image_side(generator, encoder, few, few_seeds, phrases, lexicon, on_step)
    image = directions(plain_shown, worded)
    k = len(lexicon.names)
    return {
        "images": images,
        "features": features,
        "noise": encoder.encode_images(other) - features,
        "plain_texts": plain,
        "text": text.vectors[:k].astype(np.float32),
        "text_noise": text.noise[:k].astype(np.float32),
        "image": image.vectors[:k].astype(np.float32),
        "image_noise": image.noise[:k].astype(np.float32),
        "neutral_text": text.vectors[k:].astype(np.float32),
        "neutral_image": image.vectors[k:].astype(np.float32),
    }


def _image_side(
    generator: Generator,
    encoder: Encoder,
    prompts: Sequence[str],
    seeds: Sequence[int],
    phrases: Sequence[str],
    lexicon: Lexicon,
    on_step: Callable[[str, int, int], None] | None,
) -> tuple[Floats, Floats]:
    """Embeddings of the base's pictures of m prompts alone (m, D) and with each phrase (k, m, D).

    Several phrases share a call, so that the generator's batches are full however few prompts there are.
    """
    versions = [list(prompts), *([lexicon.phrase(p, phrase) for p in prompts] for phrase in phrases)]
    together = max(1, PICTURES_PER_CALL // max(1, len(prompts)))
    features: list[Floats] = []
    for start in range(0, len(versions), together):
        if on_step is not None:
            on_step("concept pictures", start, len(versions))
        chunk = versions[start : start + together]
        shown = generator.generate([p for version in chunk for p in version], [*seeds] * len(chunk))
        features.append(encoder.encode_images(shown).reshape(len(chunk), len(prompts), -1))
    joined = np.concatenate(features)
    return joined[0], joined[1:]


def _publish(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    with replacing(path) as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary)
        crash_point("reference_written")
    crash_point("reference_published")
