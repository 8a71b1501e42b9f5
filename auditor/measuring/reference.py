"""What every adapter of one recipe is compared with, made once and kept on disk.

Base images and their features, the noise floor, and both sides of every concept vector. A second adapter, or a
second run, reads it back and calls the base denoiser not once. Making it can take hours: tasks share it, part by part,
and one that is stopped or killed loses the part in hand at most.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from auditor.common.atomic_files import replacing
from auditor.common.crash_points import crash_point
from auditor.common.own_files import Damaged
from auditor.encoding.encoder import Encoder
from auditor.errors import Interrupted
from auditor.finexl.concepts import ConceptDirections, directions
from auditor.generation.generator import Generator
from auditor.lexicons.loader import Lexicon
from auditor.measuring.shards import Arrays, load_arrays, make_shards, read_shards, save_arrays
from auditor.probes.loader import ProbeSet
from auditor.records.recipe import Recipe
from auditor.settings import RecipeSettings

Floats = NDArray[np.float32]
NOISE_SEED_SHIFT = 1_000_003
"""Added to every probe's seed for the base-against-base noise floor."""

PICTURES_PER_CALL = 96
"""Concept pictures rendered per call: a multiple of usual batch sizes, and at 1024 pixels still 300 MB."""

_ATTEMPTS = 3
log = structlog.get_logger(__name__)

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


def reference_path(folder: Path, recipe: Recipe) -> Path:
    """Where the reference of a recipe lies, once it is made."""
    return folder / f"{reference_key(recipe)}.safetensors"


def load_or_make(
    folder: Path, maker: ReferenceMaker, on_step: Callable[[str, int, int], None] | None = None
) -> Reference:
    """Read the reference of a recipe, or make and publish it, together with whoever else makes it now.

    Args:
        folder: Where references are kept.
        maker: Called only when there is nothing on disk; its recipe decides the key.
        on_step: Told (what, done, total) while it is made.

    Raises:
        Interrupted: It was to stop. The parts that are made are kept.
    """
    path = reference_path(folder, maker.recipe)
    parts = path.with_suffix(".parts")
    for attempt in range(_ATTEMPTS):
        try:
            if not path.exists():
                names = maker.names()
                make_shards(
                    parts,
                    names,
                    maker.part,
                    finished=path.exists,
                    on_part=lambda done, total: on_step("parts", done, total) if on_step is not None else None,
                )
                _publish(path, parts, names, maker)
            reference = load_reference(folder, maker.recipe)
        except Damaged as error:  # the reference, or a part of it; it lies aside now and is made again
            if attempt + 1 == _ATTEMPTS:
                raise
            log.warning("made again", error=str(error))
        else:
            shutil.rmtree(parts, ignore_errors=True)
            return reference
    raise AssertionError("unreachable")


def reference_pictures(recipe: RecipeSettings, lexicon: Lexicon) -> int:
    """Pictures that the base renders for one reference: probes twice, and probes with each concept."""
    versions = 1 + len(lexicon.names) + len(lexicon.neutral_words)
    return 2 * recipe.probe_count + versions * min(recipe.solver.image_probes, recipe.probe_count)


def load_reference(folder: Path, recipe: Recipe) -> Reference:
    """Read the reference of a recipe.

    Raises:
        FileNotFoundError: It was never made, or not in this folder.
        Damaged: It is not what was written.
    """
    arrays = load_arrays(reference_path(folder, recipe), "reference")
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


def text_directions(
    encoder: Encoder, plain: Floats, prompts: Sequence[str], phrases: Sequence[str], lexicon: Lexicon
) -> ConceptDirections:
    """Text-side f(C) of any phrases on the given prompts (Eq. 6)."""
    if not phrases:
        return ConceptDirections(np.zeros((0, plain.shape[1])), np.zeros(0))
    worded = encoder.encode_texts([lexicon.phrase(p, phrase) for phrase in phrases for p in prompts])
    return directions(plain, worded.reshape(len(phrases), len(prompts), -1))


@dataclass(frozen=True, eq=False)
class ReferenceMaker:
    """How the parts of a reference are made, and put together: `base`, `noise`, `text`, and runs of concepts.

    Attributes:
        recipe: Decides what is made.
        generator: The bare base.
        encoder: The recipe's encoder.
        probes: The n probes used.
        lexicon: The recipe's lexicon.
        stopping: Asked between batches of pictures.
    """

    recipe: Recipe
    generator: Generator
    encoder: Encoder
    probes: ProbeSet
    lexicon: Lexicon
    stopping: Callable[[], bool] = lambda: False

    @property
    def few(self) -> int:
        """Probes m of the image side."""
        wanted = self.recipe.solver.get("image_probes")
        return min(wanted, len(self.probes)) if isinstance(wanted, int) else len(self.probes)

    @property
    def phrases(self) -> list[str]:
        """Concepts, then neutral words."""
        return [*self.lexicon.names, *self.lexicon.neutral_words]

    def names(self) -> list[str]:
        """The quick parts last: they are not worth a task of their own."""
        count, together = 1 + len(self.phrases), max(1, PICTURES_PER_CALL // max(1, self.few))
        return [
            *(f"concepts-{a}-{min(a + together, count)}" for a in range(0, count, together)),
            "base",
            "noise",
            "text",
        ]

    def part(self, name: str) -> Arrays:
        """One part; what the others need of it is in it."""
        prompts, seeds = list(self.probes.prompts), list(self.probes.seeds)
        looks = chunk_bounds(len(prompts), self.recipe.looks)
        if name == "base":
            images = self._render(prompts, seeds, looks)
            return {"images": images, "features": self.encoder.encode_images(images)}
        if name == "noise":
            other = self._render(prompts, [s + NOISE_SEED_SHIFT for s in seeds], looks)
            return {"features": self.encoder.encode_images(other)}
        if name == "text":
            plain = self.encoder.encode_texts(prompts)
            text = text_directions(self.encoder, plain, prompts, self.phrases, self.lexicon)
            return {"plain": plain, "vectors": text.vectors.astype(np.float32), "noise": text.noise.astype(np.float32)}
        first, end = map(int, name.split("-")[1:])
        return {"features": self._concepts(prompts[: self.few], seeds[: self.few], first, end)}

    def whole(self, parts: Sequence[dict[str, NDArray[Any]]]) -> Arrays:
        """The reference, from its parts in the order of their names."""
        *concepts, base, noise, text = parts
        shown = np.concatenate([part["features"] for part in concepts])
        image = directions(shown[0], shown[1:])
        k = len(self.lexicon.names)
        return {
            "images": base["images"],
            "features": base["features"],
            "noise": noise["features"] - base["features"],
            "plain_texts": text["plain"],
            "text": text["vectors"][:k],
            "text_noise": text["noise"][:k],
            "image": image.vectors[:k].astype(np.float32),
            "image_noise": image.noise[:k].astype(np.float32),
            "neutral_text": text["vectors"][k:],
            "neutral_image": image.vectors[k:].astype(np.float32),
        }

    def _concepts(self, prompts: Sequence[str], seeds: Sequence[int], first: int, end: int) -> Floats:
        """Embeddings of m prompts as they are (version 0) or with a phrase (version 1 on): (end - first, m, D).

        Several versions share a call, so that the generator's batches are full however few prompts there are.
        """
        versions = [None, *self.phrases][first:end]
        worded = [p if phrase is None else self.lexicon.phrase(p, phrase) for phrase in versions for p in prompts]
        shown = self._render(worded, [*seeds] * len(versions), [(0, len(worded))])
        return self.encoder.encode_images(shown).reshape(len(versions), len(prompts), -1)

    def _render(
        self, prompts: Sequence[str], seeds: Sequence[int], slices: Sequence[tuple[int, int]]
    ) -> NDArray[np.uint8]:
        """Pictures (n, H, W, 3), slice by slice, in the batches that the generator would make of each slice."""
        batch = self.recipe.generation.get("batch_size")
        step = batch if isinstance(batch, int) else len(prompts)
        shown = []
        for first, end in ((a, min(a + step, stop)) for start, stop in slices for a in range(start, stop, step)):
            if self.stopping():
                raise Interrupted("Stopped while the reference was made; what is made of it is kept.")
            shown.append(self.generator.generate(prompts[first:end], seeds[first:end]))
        return np.concatenate(shown)


def _publish(path: Path, folder: Path, names: Sequence[str], maker: ReferenceMaker) -> None:
    """Put the parts together, unless another task has done so."""
    try:
        arrays = maker.whole(read_shards(folder, names))
    except FileNotFoundError:
        if not path.exists():
            raise
        return
    with replacing(path) as temporary:
        save_arrays(temporary, arrays)
        crash_point("reference_written")
    crash_point("reference_published")
